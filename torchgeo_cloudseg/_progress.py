"""Progress, as a bar where somebody watches it, as lines from time to time in a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, Generic, Self, TextIO, TypeVar

T = TypeVar('T')

#: Seconds between lines.
EVERY_S = 30.0


def progress_bar(
    steps: Iterable[Any] | None = None,
    title: str = '',
    total: int | None = None,
    *,
    unit: str = 'step',
    initial: int = 0,
    delay: float = 0.0,
    disable: bool = False,
) -> Any:
    """Tell of progress on standard error.

    Args:
        steps: what is iterated over (defaults to nothing: the work calls ``update``).
        title: what is going on.
        total: number of steps (defaults to the length of *steps*).
        unit: name of a step.
        initial: steps that were done before.
        delay: seconds before anything is shown.
        disable: show nothing.

    Returns:
        an iterable and context manager: a bar on a terminal or in a notebook; elsewhere a line
        every 30 seconds.
    """
    disable = disable or is_quiet()
    if disable or is_watched(sys.stderr):
        from tqdm.auto import tqdm  # noqa: TID251 - nowhere else

        return tqdm(steps, title, total, unit=unit, initial=initial, delay=delay, disable=disable)
    return Lines(() if steps is None else steps, title, total, unit, initial, max(delay, EVERY_S))


def is_watched(stream: TextIO) -> bool:
    """Whether somebody watches what is written to a stream: on a terminal, or in a notebook."""
    return stream.isatty() or 'ipykernel' in sys.modules


def is_quiet() -> bool:
    """Whether no progress is wanted: ``TQDM_DISABLE=1``, which ``--quiet`` sets."""
    return os.environ.get('TQDM_DISABLE', '0') not in ('', '0')


class Lines(Generic[T]):
    """Progress as lines that end: nothing that is over in less than the time between two.

    Args:
        steps: what is iterated over.
        title: what is going on.
        total: number of steps.
        unit: name of a step.
        initial: steps that were done before.
        every: seconds between lines.
    """

    def __init__(
        self,
        steps: Iterable[T],
        title: str,
        total: int | None,
        unit: str = 'step',
        initial: int = 0,
        every: float = EVERY_S,
    ) -> None:
        self.steps, self.title, self.unit, self.every = steps, title, unit, every
        self.total = len(steps) if total is None and isinstance(steps, Sized) else total
        self.done = self.initial = initial
        self.start = self.told = time.monotonic()

    def __iter__(self) -> Iterator[T]:
        """Iterate, and count."""
        for step in self.steps:
            yield step
            self.update()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End."""

    def update(self, n: float | None = 1) -> None:
        """Count steps.

        Args:
            n: how many were done.
        """
        self.done += int(n or 0)
        now = time.monotonic()
        if now - self.told >= self.every or (self.done == self.total and self.told > self.start):
            self.told = now
            self._tell(now - self.start)

    def _tell(self, seconds: float) -> None:
        count = f'{self.done} of {self.total}' if self.total else f'{self.done}'
        text = f'{self.title}: {count} {self.unit}s, {_clock(seconds)}'
        if self.total and self.initial < self.done < self.total:
            left = seconds / (self.done - self.initial) * (self.total - self.done)
            text += f', {_clock(left)} left'
        sys.stderr.write(f'{text}\n')
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    """Seconds as minutes and seconds."""
    return f'{int(seconds // 60)}:{int(seconds % 60):02d}'
