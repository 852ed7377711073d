"""Reading rows of ``.npy`` files, which are never unpickled."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .errors import SceneError, unreadable
from .open import FileState, file_state

#: Number of files whose headers are remembered, of some hundred bytes each.
MAX_HEADERS = 4096


class ArrayPlace(NamedTuple):
    """Where the values of an array lie in its file."""

    #: Position of the first value, in bytes.
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    #: Whether the first axis is the innermost one.
    by_columns: bool


def place_of_array(path: str) -> ArrayPlace:
    """Find the values of a ``.npy`` file.

    Args:
        path: the file.

    Returns:
        their place, type and shape.

    Raises:
        SceneError: if the file is missing, broken, cut off or a pickle.
    """
    return _place(path, file_state(path))


def read_rows(path: str, rows: tuple[int, int]) -> NDArray[Any]:
    """Read rows of an array.

    Args:
        path: a ``.npy`` file with one (H, W) array.
        rows: first row and the one after the last.

    Returns:
        array of shape (rows, W) in the stored data type; fewer rows where the file has fewer.

    Raises:
        SceneError: if the file is missing, broken, cut off or a pickle.
    """
    offset, dtype, shape, by_columns = _known_place(path, file_state(path))
    if by_columns or len(shape) != 2:
        values: NDArray[Any] = np.load(path, allow_pickle=False)
        return values[rows[0] : rows[1]]
    row_bytes = shape[1] * dtype.itemsize
    count = max(min(rows[1], shape[0]) - rows[0], 0)
    try:
        with open(path, 'rb', buffering=0) as file:  # noqa: PTH123 - faster, for many files
            file.seek(offset + rows[0] * row_bytes)
            data = file.read(count * row_bytes)
    except OSError as error:
        raise unreadable(path, error) from error
    values = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    return values[: len(values) // shape[1] * shape[1]].reshape(-1, shape[1])


def _place(path: str, state: FileState) -> ArrayPlace:
    """Read the header of a file in a certain state."""
    try:
        with open(path, 'rb') as file:  # noqa: PTH123
            place = _read_place(file)
    except (OSError, EOFError) as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        if str(error).startswith('EOF'):  # how numpy says that the header is cut off
            raise unreadable(path, error) from error
        raise SceneError(
            path,
            f'no plain array ({error})',
            'a .npy file with a boolean array',
            'Pickles are never loaded: save it again with numpy.save(path, mask.astype(bool)).',
        ) from error
    stop = place.offset + int(np.prod(place.shape, dtype=np.int64)) * place.dtype.itemsize
    if state.size < stop:
        raise SceneError(path, f'a file cut off after {state.size} bytes', f'{stop} bytes')
    return place


#: For reading patches: headers of files are parsed once, as long as these do not change.
_known_place = lru_cache(maxsize=MAX_HEADERS)(_place)


def _read_place(file: BinaryIO) -> ArrayPlace:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_columns, dtype = read(file)
    if dtype.hasobject:
        raise ValueError('Object arrays cannot be loaded when allow_pickle=False')
    return ArrayPlace(file.tell(), dtype, shape, by_columns)
