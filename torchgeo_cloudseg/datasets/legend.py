"""Legends: the names and colors of classes, and which stored codes belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._compat import renamed_fields
from ..rasters import SceneError


@renamed_fields(colour='color')
class LandCoverClass(NamedTuple):
    """A class of a land-cover legend."""

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


def code_lookup(
    legend: Sequence[LandCoverClass], unknown_codes: Sequence[int], ignore_index: int
) -> NDArray[np.int64]:
    """Class of each stored code.

    Args:
        legend: the classes, in order.
        unknown_codes: codes that stand for no class; where the legend names one, it is a class.
        ignore_index: label of unknown pixels.

    Returns:
        int64 array of shape (256,): class by stored code, -1 for a code that nobody declared.
    """
    lookup = np.full(256, -1, dtype=np.int64)
    lookup[list(unknown_codes)] = ignore_index
    for index, land_cover in enumerate(legend):
        lookup[list(land_cover.codes)] = index
    return lookup


def to_classes(path: str, codes: NDArray[Any], lookup: NDArray[np.int64]) -> NDArray[np.int64]:
    """Classes of stored codes.

    Args:
        path: the file that holds them, for the error.
        codes: stored codes, of any shape.
        lookup: class by stored code, see :func:`code_lookup`.

    Returns:
        classes, of the same shape.

    Raises:
        SceneError: if there is a code that nobody declared.
    """
    classes: NDArray[np.int64] = lookup[codes]
    if (classes < 0).any():
        found = np.unique(codes[classes < 0]).tolist()
        known = np.flatnonzero(lookup >= 0).tolist()
        raise SceneError(path, f'label code(s) {found}', f'one of {known}')
    return classes
