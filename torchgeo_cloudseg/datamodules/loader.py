"""Data loader that carries on in the middle of an epoch."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader
from torchgeo.datasets import GeoDataset

from ..samplers import SceneSampler


class SceneDataLoader(DataLoader[dict[str, Any]]):
    """DataLoader whose place in an epoch is kept in Lightning's checkpoints.

    A training that was interrupted in the middle of an epoch goes on with the patches that were
    next, instead of with the first ones again.
    """

    def __init__(
        self,
        dataset: GeoDataset,
        sampler: SceneSampler,
        batch_size: int,
        position: Callable[[], int],
        **kwargs: Any,
    ) -> None:
        """Initialize a new SceneDataLoader instance.

        Args:
            dataset: dataset to load from.
            sampler: sampler of patches.
            batch_size: samples per batch.
            position: number of batches of the current epoch that the training has used.
            **kwargs: further arguments of :class:`torch.utils.data.DataLoader`.
        """
        super().__init__(dataset, batch_size=batch_size, sampler=sampler, **kwargs)
        self._sampler = sampler
        self._samples_per_batch = batch_size
        self._position = position

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]  # starts later
        """Iterate over batches.

        Yields:
            batches.
        """
        # nothing happens before the first batch is asked for: in a resumed run Lightning makes the
        # iterator before it tells the sampler the epoch, and workers would fetch the wrong patches
        yield from super().__iter__()

    def state_dict(self) -> dict[str, int]:
        """Place in the epoch: batches that were used."""
        return {'batches': self._position()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave out the batches that were used, in the next epoch only.

        Args:
            state: what :meth:`state_dict` gave.
        """
        self._sampler.skip(state['batches'] * self._samples_per_batch)
