"""Data loader that reads batches as a whole and carries on in the middle of an epoch."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader
from torchgeo.datasets import GeoDataset

from ..samplers import SceneSampler
from .batch_reader import BatchReader


class SceneDataLoader(DataLoader[dict[str, Any]]):
    """DataLoader for patches of scenes, whose place in an epoch is kept in Lightning's checkpoints.

    Batches are read by a :class:`~.batch_reader.BatchReader`: all metadata are tensors, and workers
    hand batches over in memory that is used again.

    A training that was interrupted in the middle of an epoch goes on with the patches that were
    next, instead of with the first ones again.
    """

    def __init__(
        self,
        dataset: GeoDataset,
        batch_size: int = 1,
        sampler: SceneSampler | None = None,
        position: Callable[[], int] | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize a new SceneDataLoader instance.

        Args:
            dataset: dataset to load from.
            batch_size: samples per batch.
            sampler: sampler of patches.
            position: number of batches of the current epoch that the training has used, for
                checkpoints (defaults to none).
            **kwargs: further arguments of :class:`torch.utils.data.DataLoader`.

        Raises:
            ValueError: if *collate_fn* is given: batches are stacked as they are read.
        """
        # Lightning makes a loader anew for prediction, of this one's arguments and attributes
        if kwargs.pop('collate_fn', _as_it_is) is not _as_it_is:
            raise ValueError(
                'collate_fn: batches are stacked as they are read. Change samples by the '
                "dataset's `transforms`, or batches after they are loaded."
            )
        source = dataset.dataset if isinstance(dataset, BatchReader) else dataset
        super().__init__(
            BatchReader(source, kwargs.get('num_workers', 0)),
            batch_size=batch_size,
            sampler=sampler,
            collate_fn=_as_it_is,
            **kwargs,
        )
        self._scene_sampler = sampler
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
        return {'batches': self._position() if self._position is not None else 0}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave out the batches that were used, in the next epoch only.

        Args:
            state: what :meth:`state_dict` gave.
        """
        # interrupted after its last batch, in validation, an epoch is over: the next one is whole
        if self._scene_sampler is not None and state['batches'] < len(self):
            self._scene_sampler.skip(state['batches'] * self._samples_per_batch)


def _as_it_is(batch: Any) -> Any:
    """What a :class:`~.batch_reader.BatchReader` has read is a batch already."""
    return batch
