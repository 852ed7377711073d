"""Queries that remember the scene from which they were drawn."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pyproj


class SceneSlice(tuple[slice, slice, slice]):
    """A slice ``(x, y, t)`` of a GeoDataset that also names the scene it lies in.

    It indexes any :class:`~torchgeo.datasets.GeoDataset` like the plain tuple it is. Data sets of
    this package read it from the named scene alone: where scenes overlap, a patch never mixes
    two of them, and nothing has to be searched.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> from torchgeo_cloudseg.samplers import CenterSceneSampler
        >>> dataset = M3MCR.zoned(root, split='test')
        >>> query = next(iter(CenterSceneSampler(dataset, size=160)))
        >>> query.scene == dataset.index['scene'].iloc[0]
        True
    """

    scene: str | None
    zone: int
    crs: str | None

    def __new__(
        cls,
        slices: tuple[slice, slice, slice],
        scene: str | None = None,
        zone: int = 0,
        crs: str | None = None,
    ) -> SceneSlice:
        """Create a new SceneSlice instance.

        Args:
            slices: start, stop and step along x, y and t.
            scene: name of the scene; None to look it up by place.
            zone: position of the data set in a :class:`~.zoned.ZonedDataset`.
            crs: CRS of x and y, as ``EPSG:code`` or WKT; None for that of the data set.

        Returns:
            the query.
        """
        self = super().__new__(cls, slices)
        self.scene = scene
        self.zone = zone
        self.crs = crs
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Arguments with which a copy is made in another process."""
        return tuple(self), self.scene, self.zone, self.crs


def crs_text(crs: pyproj.CRS) -> str:
    """A coordinate reference system as queries have it.

    Args:
        crs: the CRS.

    Returns:
        ``EPSG:code``, or WKT where it has no code.
    """
    code = crs.to_epsg()
    return f'EPSG:{code}' if code else str(crs.to_wkt())


def same_crs(first: Any, second: Any) -> bool:
    """Whether two coordinate reference systems are the same.

    Args:
        first: object of pyproj, or text, which is compared faster.
        second: another one.

    Returns:
        True where they are.
    """
    return first is second or _same_crs(first, second)


@lru_cache(maxsize=1024)
def _same_crs(first: Any, second: Any) -> bool:
    if first == second:
        return True
    same: bool = pyproj.CRS.from_user_input(first) == pyproj.CRS.from_user_input(second)
    return same
