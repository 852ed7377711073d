"""Files that are complete or absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Write a file under another name, and give it its own once it is complete.

    Args:
        path: the file, in a folder that exists.
        durable: make sure that it is on disk, even if the machine stops.

    Yields:
        where to write it, beside it and with the same ending. What is there is removed if writing
        fails; a file that was there before stays.
    """
    # another for every writer, on whatever machine; writers go by the ending
    draft = path.with_name(f'.{uuid4().hex}.{path.name}')
    try:
        yield draft
        if durable:
            with draft.open('rb+') as file:
                os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
