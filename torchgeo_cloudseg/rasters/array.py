"""Arrays in ``.npy`` files, of which parts are read, and which are never unpickled."""

from __future__ import annotations

from textwrap import shorten
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from .errors import SceneError, check_plain, unreadable

#: What numpy raises where a header, which is a Python literal, is anything else.
HEADER_ERRORS = (
    ValueError, TypeError, OverflowError, SyntaxError, TokenError, RecursionError, MemoryError,
)  # fmt: skip


def map_array(path: str) -> NDArray[Any]:
    """Map a ``.npy`` file into memory: only what is looked at is read.

    Args:
        path: the file.

    Returns:
        the array, read-only.

    Raises:
        SceneError: if the file is missing, broken, cut off or a pickle.
    """
    check_plain(path)
    try:
        # the file is looked at by its header alone: whatever else it may be is refused
        return np.asarray(open_memmap(path, mode='r'))
    except (OSError, EOFError) as error:
        raise unreadable(path, error) from error
    except HEADER_ERRORS as error:
        # how numpy says that the header is cut off, or the array
        if str(error).startswith(('EOF', 'mmap length')):
            raise unreadable(path, error) from error
        raise SceneError(
            path,
            # numpy quotes the header, however long it says that it is
            f'no plain array, with allow_pickle=False ({shorten(str(error), 200)})',
            'a .npy file with a boolean array',
            'Pickles are never loaded: save it again with numpy.save(path, mask.astype(bool)).',
        ) from error
