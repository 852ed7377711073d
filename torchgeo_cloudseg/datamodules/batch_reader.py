"""Reading whole batches: each sample goes to its place in the batch as soon as it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info
from torchgeo.datasets import GeoDataset, stack_samples

from .._compat import bounds_to_tensor
from ..datasets.query import SceneSlice
from .shared_memory import SharedBatch, SharedBuffers, lay_out

Batch = dict[str, Any]


class BatchReader(Dataset[dict[str, Any]]):
    """A dataset as a data loader sees it, which asks for the samples of a batch at once.

    Samples that are kept until the batch is complete, and then stacked, cost another copy and, for
    every batch, tens of thousands of pages of memory that the allocator returns to the kernel and
    takes back. All metadata are made tensors; ``crs`` is left to ``epsg``.

    Attributes:
        dataset: the dataset.
    """

    def __init__(self, dataset: GeoDataset, num_workers: int = 0) -> None:
        """Initialize a new BatchReader instance.

        Args:
            dataset: dataset to read from.
            num_workers: number of workers of the data loader.
        """
        self.dataset = dataset
        self._buffers = SharedBuffers(num_workers) if num_workers else None

    def __len__(self) -> int:
        """Number of files in the dataset."""
        return len(self.dataset)

    def __getitem__(self, index: SceneSlice) -> dict[str, Any]:
        """Retrieve a sample.

        Args:
            index: a query of the dataset.

        Returns:
            the sample, with all metadata as tensors.
        """
        return with_tensors(self.dataset[index])

    def __getitems__(self, indices: Sequence[SceneSlice]) -> Batch | SharedBatch:
        """Retrieve a batch.

        Args:
            indices: queries of the dataset.

        Returns:
            the batch; in a worker, what becomes the batch when it is sent.
        """
        first = self[indices[0]]
        rest = iter(indices[1:])
        if not all(isinstance(value, Tensor) and value.numel() for value in first.values()):
            return _stack([first, *(self[index] for index in rest)])
        parts, worker = lay_out(first, len(indices)), get_worker_info()

        def write(batch: Mapping[str, Tensor]) -> None:
            _put(batch, 0, first)
            for position, index in enumerate(rest, 1):
                _put(batch, position, self[index])

        if worker is not None and self._buffers is not None:
            shared = self._buffers.fill(worker.id, parts, write)
            if shared is not None:
                return shared
        batch = {part.key: torch.empty(part.shape, dtype=part.dtype) for part in parts}
        write(batch)
        return batch


def with_tensors(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample whose metadata are tensors.

    Args:
        sample: a sample of any version of TorchGeo.

    Returns:
        a new dict without ``crs``, and with ``bounds`` as float64 (9,).
    """
    plain = {key: value for key, value in sample.items() if key != 'crs'}
    if 'bounds' in plain:
        plain['bounds'] = bounds_to_tensor(plain['bounds'])
    return plain


def collate(samples: Sequence[dict[str, Any]]) -> Batch:
    """Stack samples into a batch in which all metadata are tensors.

    Args:
        samples: samples of one dataset, of equal shape.

    Returns:
        the batch; ``bounds`` is float64 (B, 9), and ``crs`` is left to ``epsg``.
    """
    return _stack([with_tensors(sample) for sample in samples])


def _stack(samples: Sequence[dict[str, Any]]) -> Batch:
    batch: Batch = stack_samples(samples)
    return batch


def _put(batch: Mapping[str, Tensor], position: int, sample: Mapping[str, Tensor]) -> None:
    """Copy a sample to its place in a batch.

    Raises:
        RuntimeError: if it does not fit there.
    """
    for key, place in batch.items():
        value = sample.get(key)
        if value is None or value.shape != place.shape[1:] or value.dtype != place.dtype:
            found = 'nothing' if value is None else f'{value.dtype} {tuple(value.shape)}'
            raise RuntimeError(
                f'{key}: found {found} in sample {position} of a batch, expected {place.dtype} '
                f'{tuple(place.shape[1:])}, as in the first. Use equal patches, or batches of one.'
            )
        place[position] = value
