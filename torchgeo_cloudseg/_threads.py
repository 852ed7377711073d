"""Threads that end when the work is interrupted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any


class Threads(ThreadPoolExecutor):
    """A pool that leaves out what it has not begun, where an error or Ctrl-C ends its block."""

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        """Wait for what is being done; without an error, for everything.

        Args:
            kind: what ends the block.
            *rest: more about it.
        """
        self.shutdown(cancel_futures=kind is not None)
