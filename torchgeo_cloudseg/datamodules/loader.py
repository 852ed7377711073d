"""Data loader of patches that carries on in the middle of an epoch."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch.utils.data import DataLoader, DistributedSampler, SequentialSampler
from torchgeo.datasets import GeoDataset

from ..samplers import SceneSampler
from .collate import Batch, RecyclingCollate

#: How the message of an error begins in a traceback.
_LAST = re.compile(r'^[\w.]*(?:Error|Exception): ', re.MULTILINE)


class LoaderError(ValueError, RuntimeError):
    """What went wrong in a worker of a data loader, without the worker's inside."""


class FixedPatches(SequentialSampler, DistributedSampler[Any]):
    """The same patches in every epoch, in one order.

    Lightning replaces any sampler that is not sequential where a few batches are to be overfitted
    to, and any that is not distributed where processes share the data.
    """

    def __init__(self, patches: Iterable[Any]) -> None:
        """Initialize a new FixedPatches instance.

        Args:
            patches: queries of this process's share of the patches.
        """
        self.patches = [*patches]
        SequentialSampler.__init__(self, self.patches)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the patches."""
        return iter(self.patches)


class SceneDataLoader(DataLoader[Batch]):
    """DataLoader for patches of scenes, whose place in an epoch is kept in Lightning's checkpoints.

    All metadata in its batches are tensors, whatever TorchGeo's version and data set. A training
    that was interrupted in the middle of an epoch goes on with the patches that were next, instead
    of with the first ones again.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> from torchgeo_cloudseg.samplers import RandomSceneSampler
        >>> dataset = M3MCR.zoned(root, split='train')
        >>> sampler = RandomSceneSampler(dataset, size=80, length=4)
        >>> batch = next(iter(SceneDataLoader(dataset, batch_size=4, sampler=sampler)))
        >>> tuple(batch['image'].shape)
        (4, 4, 80, 80)
    """

    def __init__(
        self,
        dataset: GeoDataset,
        batch_size: int = 1,
        sampler: Iterable[Any] | None = None,
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
            **kwargs: further arguments of :class:`torch.utils.data.DataLoader`; ``collate_fn``
                defaults to :class:`~.collate.RecyclingCollate`.
        """
        kwargs.setdefault('collate_fn', RecyclingCollate())
        super().__init__(dataset, batch_size=batch_size, sampler=sampler, **kwargs)
        self._position = position

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # starts later
        """Iterate over batches.

        Yields:
            batches.

        Raises:
            LoaderError: if a worker cannot read, or there is no room for its batches.
        """
        # nothing happens before the first batch is asked for: in a resumed run Lightning makes the
        # iterator before it tells the sampler the epoch, and workers would fetch the wrong patches
        try:
            yield from super().__iter__()
        except (RuntimeError, ValueError, OSError, LookupError) as error:
            raise _of_worker(error) from error

    def state_dict(self) -> dict[str, int]:
        """Place in the epoch: batches that were used."""
        return {'batches': self._position() if self._position is not None else 0}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave out the batches that were used, in the next epoch only.

        Args:
            state: what :meth:`state_dict` gave.
        """
        # interrupted after its last batch, in validation, an epoch is over: the next one is whole
        if isinstance(self.sampler, SceneSampler) and state['batches'] < len(self):
            self.sampler.skip(state['batches'] * (self.batch_size or 1))


def _of_worker(error: Exception) -> Exception:
    """An error for people, of what PyTorch hands on from a worker; others stay as they are."""
    text = str(error)
    if 'shared memory' in text:
        return LoaderError(
            'The shared memory (/dev/shm) is too small for the batches of the workers. Give it '
            'more (docker run --shm-size=1g), or set num_workers=0.'
        )
    found = list(_LAST.finditer(text)) if 'DataLoader worker process' in text else []
    return LoaderError(text[found[-1].end() :].strip()) if found else error
