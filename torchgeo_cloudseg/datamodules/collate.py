"""Stacking samples into batches whose metadata are tensors."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import default_collate, get_worker_info

from .._compat import bounds_to_tensor

Batch = dict[str, Any]

#: Tensors in a buffer begin at multiples of this many bytes.
ALIGNMENT = 64

#: glibc gives freed memory back to the kernel until it has freed a block as large as this.
LARGE_BLOCK = 31 << 20


def collate(samples: Sequence[Mapping[str, Any]]) -> Batch:
    """Stack samples into a batch in which all metadata are tensors.

    Args:
        samples: samples of one data set, of any version of TorchGeo, with equal keys and shapes.

    Returns:
        the batch; ``bounds`` is float64 (B, 9), and ``crs``, which cannot be a tensor, is left to
        ``epsg``.

    Raises:
        RuntimeError: if samples differ in keys, shapes or data types; it names the key.
    """
    batch: Batch = default_collate(_alike(samples))
    return batch


class RecyclingCollate:
    """Does what :func:`collate` does; in a worker, in shared memory that is used again.

    The kernel clears every page of fresh memory, which takes longer than reading the patches. The
    first byte of a buffer says whether its batch is still in use in the training process, which
    clears it when the last tensor of the batch is gone. As long as no buffer is free, batches go
    PyTorch's way.
    """

    #: Buffers of a worker: for two batches that PyTorch has it prepare in advance, and two in use.
    BUFFERS = 4

    def __init__(self) -> None:
        """Initialize a new RecyclingCollate instance."""
        self._buffers: list[Tensor] = []

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> Any:
        """Stack samples into a batch.

        Args:
            samples: samples of one data set, with equal keys and shapes.

        Returns:
            the batch; in a worker, what becomes the batch when it is sent.

        Raises:
            RuntimeError: if samples differ in keys, shapes or data types.
        """
        plain = _alike(samples)
        if get_worker_info() is None or not all(isinstance(v, Tensor) for v in plain[0].values()):
            return default_collate(plain)
        parts, stop = {}, 1
        for key, value in plain[0].items():
            start = -(-stop // ALIGNMENT) * ALIGNMENT
            stop = start + len(plain) * value.numel() * value.element_size()
            parts[key] = Part(value.dtype, (len(plain), *value.shape), slice(start, stop))
        buffer = self._free_buffer(stop)
        if buffer is None:
            return default_collate(plain)
        buffer[0] = True
        for key, part in parts.items():
            torch.stack([sample[key] for sample in plain], out=part.of(buffer))
        return _Sent(buffer, parts)

    def _free_buffer(self, size: int) -> Tensor | None:
        """A buffer of so many bytes or more that is not in use; None if all are."""
        if not self._buffers:
            # made and freed at once: samples, too, are read into memory that is used again
            torch.empty(LARGE_BLOCK, dtype=torch.uint8)
        for buffer in self._buffers:
            if not buffer[0] and len(buffer) >= size:
                return buffer
        self._buffers = [buffer for buffer in self._buffers if buffer[0]]
        if len(self._buffers) == self.BUFFERS:
            return None
        self._buffers.append(torch.empty(size, dtype=torch.uint8))
        return self._buffers[-1].share_memory_()  # type: ignore[no-any-return, no-untyped-call]


class Part(NamedTuple):
    """Where a tensor lies in a buffer."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    place: slice

    def of(self, buffer: Tensor) -> Tensor:
        """The tensor, as a view of a buffer of bytes."""
        return buffer[self.place].view(self.dtype).view(self.shape)


class _Sent(NamedTuple):
    """A batch in a buffer, on its way to the training process; unpickled there, it is a dict."""

    buffer: Tensor
    parts: dict[str, Part]

    def __reduce__(self) -> tuple[Any, ...]:
        """How it is made in the training process."""
        return _received, (self.buffer, self.parts)


def _received(buffer: Tensor, parts: dict[str, Part]) -> Batch:
    """Make a batch of a buffer that a worker has filled."""
    # an object that lives as long as the tensors made of it
    memory = buffer.numpy()[:]
    weakref.finalize(memory, buffer[:1].zero_).atexit = False
    whole = torch.from_numpy(memory)
    return {key: part.of(whole) for key, part in parts.items()}


def _alike(samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Samples whose metadata are tensors, if they can be stacked."""
    plain = [{key: value for key, value in sample.items() if key != 'crs'} for sample in samples]
    for position, sample in enumerate(plain):
        if 'bounds' in sample:
            sample['bounds'] = bounds_to_tensor(sample['bounds'])
        for key in plain[0] | sample:
            found, expected = _described(sample.get(key)), _described(plain[0].get(key))
            if found != expected:
                raise RuntimeError(
                    f'{key}: found {found} in sample {position} of a batch, expected {expected}, '
                    'as in the first. Use equal patches, or batches of one.'
                )
    return plain


def _described(value: Any) -> str:
    """What must be equal in all samples of a batch, for messages."""
    if isinstance(value, Tensor):
        return f'{value.dtype} {tuple(value.shape)}'
    return 'nothing' if value is None else type(value).__name__
