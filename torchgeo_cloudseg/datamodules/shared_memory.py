"""Batches handed from workers to the training process in shared memory that is used again.

PyTorch hands every batch over in fresh shared memory, whose pages the kernel clears and maps one by
one: more work than reading the patches. Here a worker writes batches into a few buffers. It gets a
buffer back when the last tensor of its batch is gone in the training process, however long that
takes; as long as none is free, batches go PyTorch's way.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Buffers of a worker: for two batches that PyTorch has it prepare in advance, and two in use.
BUFFERS_PER_WORKER = 4

#: Tensors begin at multiples of this many bytes.
ALIGNMENT = 64


class Part(NamedTuple):
    """Where a tensor lies in a buffer."""

    key: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    #: First byte, and the one after the last.
    start: int
    stop: int

    def of(self, buffer: Tensor) -> Tensor:
        """The tensor, as a view of a buffer of bytes."""
        return buffer[self.start : self.stop].view(self.dtype).view(self.shape)


def lay_out(sample: Mapping[str, Tensor], batch_size: int) -> list[Part]:
    """Where the tensors of a batch go, one after the other.

    Args:
        sample: one of its samples.
        batch_size: number of samples.

    Returns:
        one part per key.
    """
    parts: list[Part] = []
    stop = 0
    for key, value in sample.items():
        start = -(-stop // ALIGNMENT) * ALIGNMENT
        stop = start + batch_size * value.numel() * value.element_size()
        parts.append(Part(key, value.dtype, (batch_size, *value.shape), start, stop))
    return parts


class _Receiver(NamedTuple):
    """What the training process knows of its workers' buffers."""

    #: By worker and position.
    buffers: dict[tuple[int, int], Tensor]
    #: Which are free (workers, positions), in shared memory.
    free: NDArray[np.bool_]


#: By the token of the :class:`SharedBuffers`.
_RECEIVERS: dict[str, _Receiver] = {}


class SharedBatch:
    """A batch in a buffer, on its way to the training process; unpickled there, it is a dict."""

    def __init__(
        self, token: str, worker: int, position: int, parts: Sequence[Part], new: Tensor | None
    ) -> None:
        """Initialize a new SharedBatch instance.

        Args:
            token: that of the :class:`SharedBuffers`.
            worker: position of the worker.
            position: which of its buffers.
            parts: where the tensors lie.
            new: the buffer, if the training process does not have it yet.
        """
        self._content = token, worker, position, parts, new

    def __reduce__(self) -> tuple[Callable[..., dict[str, Tensor]], tuple[Any, ...]]:
        """How it is made in the training process."""
        return _receive, self._content


class SharedBuffers:
    """The buffers of all workers of a data loader; made in the training process."""

    def __init__(self, num_workers: int) -> None:
        """Initialize a new SharedBuffers instance.

        Args:
            num_workers: number of workers.
        """
        self._token = uuid.uuid4().hex
        # a byte each, which only one side waits to change: no lock is needed
        self._free = _shared(torch.ones(num_workers, BUFFERS_PER_WORKER, dtype=torch.bool))
        #: Buffers of this worker, by position.
        self._own: dict[int, Tensor] = {}
        _RECEIVERS[self._token] = _Receiver({}, self._free.numpy())
        weakref.finalize(self, _RECEIVERS.pop, self._token, None)

    def fill(
        self, worker: int, parts: Sequence[Part], write: Callable[[dict[str, Tensor]], None]
    ) -> SharedBatch | None:
        """Write a batch into a free buffer.

        Args:
            worker: position of this worker.
            parts: where the tensors go.
            write: gets the empty tensors by key, and fills them.

        Returns:
            the batch, to be sent; None if no buffer is free, and nothing was written.
        """
        # each is looked at once: the training process may give one back at any time
        free: list[bool] = self._free[worker].tolist()
        if True not in free:
            return None
        position, size = free.index(True), parts[-1].stop
        buffer, new = self._own.get(position), None
        if buffer is None or len(buffer) < size:
            buffer = new = _shared(torch.empty(size, dtype=torch.uint8))
        write({part.key: part.of(buffer) for part in parts})
        self._own[position] = buffer
        self._free[worker, position] = False
        return SharedBatch(self._token, worker, position, parts, new)


def _shared(tensor: Tensor) -> Tensor:
    """Move a tensor to shared memory."""
    moved: Tensor = tensor.share_memory_()  # type: ignore[no-untyped-call]
    return moved


def _receive(
    token: str, worker: int, position: int, parts: Sequence[Part], new: Tensor | None
) -> dict[str, Tensor]:
    """Make a batch of a buffer that a worker has filled."""
    receiver = _RECEIVERS[token]
    if new is not None:
        receiver.buffers[worker, position] = new
    # an object that lives as long as the tensors made of it
    memory = receiver.buffers[worker, position].numpy()[:]
    released = weakref.finalize(memory, _release, receiver.free, worker, position)
    released.atexit = False
    whole = torch.from_numpy(memory)
    return {part.key: part.of(whole) for part in parts}


def _release(free: NDArray[np.bool_], worker: int, position: int) -> None:
    """Give a buffer back to its worker."""
    free[worker, position] = True
