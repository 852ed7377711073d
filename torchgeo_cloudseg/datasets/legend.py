"""Legends: the names and colors of classes, and which stored codes belong to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compat import renamed_fields
from ..rasters import SceneError

#: Data types that labels may be stored in (numpy names): those of whole numbers.
LABEL_DTYPES = (
    *('bool', 'uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64'),
    *('float32', 'float64'),
)

#: Undeclared codes that an error spells out, the most frequent ones.
MAX_NAMED = 10


@renamed_fields(colour='color')
class LandCoverClass(NamedTuple):
    """A class of a land-cover legend.

    Example:
        >>> forest = LandCoverClass('forest', codes=(10,), color=(0, 100, 0))
        >>> forest.codes
        (10,)
    """

    name: str
    #: Stored codes that belong to the class.
    codes: tuple[int, ...]
    #: Red, green and blue, 0 to 255.
    color: tuple[int, int, int]

    @property
    def rgb(self) -> tuple[float, float, float]:
        """Red, green and blue, 0 to 1."""
        red, green, blue = self.color
        return red / 255, green / 255, blue / 255


class CodeTable:
    """Classes of stored codes, whatever integers these are.

    Codes may be negative or far apart (CORINE's 111 to 523, -9999 for no data), and stored as any
    integer type, or as floating-point numbers that are whole. A code that nobody declared is an
    error; NaN, which is how such rasters mark pixels without data, is unknown.
    """

    def __init__(self, classes: Mapping[int, int], unknown: int) -> None:
        """Initialize a new CodeTable instance.

        Args:
            classes: class by stored code.
            unknown: class of pixels that hold NaN.
        """
        self._codes = np.array(sorted(classes), np.int64)
        self._classes = np.array([classes[code] for code in self._codes.tolist()], np.int64)
        self._unknown = unknown

    def to_classes(self, path: str, values: NDArray[Any]) -> NDArray[np.int64]:
        """Classes of stored codes.

        Args:
            path: the file that holds them, for the error.
            values: stored codes, of any shape and type.

        Returns:
            classes, of the same shape.

        Raises:
            SceneError: if there are codes that nobody declared; it names them and their shares.
        """
        if values.dtype.itemsize == 1:  # the common case: a table of all there could be
            stored = np.uint8 if values.dtype == bool else values.dtype
            every = np.arange(256, dtype=np.uint8).view(stored)
            classes = self._look_up(every)[values.view(np.uint8)]
        else:
            classes = self._look_up(values)
        undeclared = classes < 0
        if undeclared.any():
            raise self._undeclared(path, values, undeclared)
        return classes

    def _look_up(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Classes of codes, -1 where nobody declared one."""
        # int64 holds all declared codes; what it cannot hold is not declared
        fits: Any = True
        lost: Any = False
        if values.dtype.kind == 'f':
            lost = np.isnan(values)
            fits = (np.abs(values) < 2.0**62) & (np.trunc(values) == values)
            values = np.where(fits, values, 0)
        elif values.dtype == np.uint64:
            fits = values < np.uint64(2**63)
        codes = values.astype(np.int64)
        place = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        declared = fits & (self._codes[place] == codes)
        classes = np.where(declared, self._classes[place], -1)
        return np.where(lost, self._unknown, classes)

    def _undeclared(
        self, path: str, values: NDArray[Any], undeclared: NDArray[np.bool_]
    ) -> SceneError:
        """The error for codes that nobody declared."""
        codes, counts = np.unique(values[undeclared], return_counts=True)
        order = np.argsort(-counts, kind='stable')[:MAX_NAMED]
        shares = ', '.join(f'{codes[i]} ({counts[i] / values.size:.2%})' for i in order)
        more = f' and {len(codes) - len(order)} more' if len(codes) > len(order) else ''
        return SceneError(
            path,
            f'label code(s) {shares}{more} of the pixels read',
            f'one of {self._codes.tolist()}',
            'Add the code to a class, or to the codes that stand for no class.',
        )


def label_codes(
    legend: Sequence[LandCoverClass], unknown_codes: Sequence[int], ignore_index: int
) -> CodeTable:
    """Table of the codes of a legend.

    Args:
        legend: the classes, in order.
        unknown_codes: codes that stand for no class; where the legend names one, it is a class.
        ignore_index: label of unknown pixels.

    Returns:
        the table.
    """
    classes = dict.fromkeys(unknown_codes, ignore_index)
    for index, land_cover in enumerate(legend):
        classes |= dict.fromkeys(land_cover.codes, index)
    return CodeTable(classes, ignore_index)
