"""The index of a data set: in any CRS, and with all it needs whoever has divided it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ..index import project
from .joins import Joinable
from .query import SceneSlice, crs_text, same_crs


class LookupCRS(Joinable):
    """A data set whose index is projected across the antimeridian, too."""

    @property
    def index(self) -> gpd.GeoDataFrame:
        """One row per scene; whoever assigns another table has changed the data set."""
        return self._index

    @index.setter
    def index(self, table: gpd.GeoDataFrame) -> None:
        """Take another table, such as a part of the present one.

        Raises:
            TypeError: if its rows do not say their times.
        """
        if not isinstance(table.index, pd.IntervalIndex):
            raise TypeError(
                f'index: found a table with a {type(table.index).__name__}, expected the intervals '
                'of time of the present one. Filter it without `reset_index`.'
            )
        known = getattr(self, '_index', None)
        self._index = table if known is None else restored(table, known)

    @property
    def crs(self) -> pyproj.CRS:
        """:term:`coordinate reference system (CRS)` of the index and of what plain queries get."""
        crs: pyproj.CRS = self.index.crs
        return crs

    @crs.setter
    def crs(self, new_crs: pyproj.CRS) -> None:
        """Change the CRS of the index; what lies in another one is warped for plain queries.

        A resolution in meters becomes one in degrees, and the other way around.
        """
        new_crs = pyproj.CRS.from_user_input(new_crs)
        if new_crs != self.crs:
            before = self.index.geometry.iloc[:1]
            self.index = self.index.set_geometry(project(self.index.geometry, new_crs))
            if len(before) and not same_unit(before.crs, new_crs):
                self._res = resolution_after(self.res, before, self.index.geometry.iloc[:1])


class _Lookup(NamedTuple):
    """What is looked up in an index for every query."""

    index: gpd.GeoDataFrame
    #: Rows of each scene, by name.
    rows: Mapping[str | None, NDArray[np.intp]]
    #: Positions of the scenes, and left, bottom, right and top of their outlines.
    scenes: NDArray[np.intp]
    bounds: NDArray[np.float64]
    #: CRS of the outlines, as text.
    crs: str


class SceneLookup(LookupCRS):
    """A data set whose index has a row for each scene, found by its name or by its place."""

    def knows(self, query: SceneSlice) -> bool:
        """Whether the scene that a query names is in the index, and lies where the query is.

        Args:
            query: the query.

        Returns:
            True where it is answered from that scene alone.
        """
        return self._row_of(query) is not None

    def _lookup(self) -> _Lookup:
        """What is looked up in the index for every query."""
        known: _Lookup | None = self.__dict__.get('_known')
        index = self.index
        if known is None or known.index is not index or len(known.scenes) != len(index):
            rows = index.reset_index(drop=True).groupby('scene', sort=False).indices
            scenes = index['scene_id'].to_numpy().astype(np.intp)
            bounds = shapely.bounds(index.geometry.to_numpy()).reshape(-1, 4)
            known = _Lookup(index, rows, scenes, bounds, crs_text(index.crs))
            self._known = known
        return known

    def _row_of(self, query: SceneSlice) -> int | None:
        """Row of the index with the scene that a query names, if it lies there."""
        known = self._lookup()
        rows = known.rows.get(query.scene)
        if rows is None:
            return None
        if query.crs is None or same_crs(query.crs, known.crs):
            x, y, _ = query
            west, south, east, north = x.start, y.start, x.stop, y.stop
        else:
            west, south, east, north = self._box(query).bounds
        found, most = None, 0.0
        # numbers of one row or a few: cheaper than geometries
        for row, bounds in zip(rows.tolist(), known.bounds[rows].tolist(), strict=True):
            width = min(east, bounds[2]) - max(west, bounds[0])
            height = min(north, bounds[3]) - max(south, bounds[1])
            if width > 0 and height > 0 and width * height > most:
                found, most = row, width * height
        return found

    def _box(self, query: SceneSlice) -> BaseGeometry:
        """Place of a query in the CRS of the index."""
        x, y, _ = query
        box = shapely.box(x.start, y.start, x.stop, y.stop)
        own = self._lookup().crs
        if query.crs is None or same_crs(query.crs, own):
            return box
        return project(gpd.GeoSeries([box], crs=query.crs), own).iloc[0]

    def _find(self, query: SceneSlice) -> list[int]:
        """Positions of the scenes that a query touches, in the order of the index."""
        row = self._row_of(query)
        if row is not None:
            return [int(self._lookup().scenes[row])]
        box, t = self._box(query), query[2]
        hits = np.sort(self.index.sindex.query(box, predicate='intersects'))
        times = self.index.index
        hits = hits[(times.left[hits] <= t.stop) & (times.right[hits] >= t.start)]
        if len(hits) > 1:  # a common edge is no overlap
            shared = shapely.area(shapely.intersection(self.index.geometry.values[hits], box))
            hits = hits[shared > 0] if (shared > 0).any() else hits[:1]
        if not len(hits):
            raise IndexError(f'index: {query} not found in dataset with bounds: {self.bounds}')
        return list(dict.fromkeys(self._lookup().scenes[hits].tolist()))


def same_unit(first: pyproj.CRS, second: pyproj.CRS) -> bool:
    """Whether coordinates of two coordinate reference systems are in the same unit.

    Args:
        first: a CRS.
        second: another one.

    Returns:
        True where a resolution of one is a resolution of the other.
    """
    one, other = (crs.axis_info[0].unit_conversion_factor for crs in (first, second))
    return bool(first.is_geographic == second.is_geographic) and math.isclose(one, other)


def resolution_after(
    res: tuple[float, float], before: gpd.GeoSeries, after: gpd.GeoSeries
) -> tuple[float, float]:
    """Resolution in the unit of another CRS, that of square pixels with as long a diagonal.

    Args:
        res: width and height of a pixel, in units of the first CRS.
        before: outline of a scene in that CRS.
        after: its outline in the other CRS.

    Returns:
        width and height of a pixel, in units of the other CRS.
    """
    west, south, east, north = before.total_bounds
    pixels = math.hypot((east - west) / res[0], (north - south) / res[1])
    # of a scene across the antimeridian, the larger part
    west, south, east, north = max(after.iloc[0:1].explode().geometry, key=lambda g: g.area).bounds
    side = math.hypot(east - west, north - south) / pixels
    return side, side


def restored(table: gpd.GeoDataFrame, known: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """A part of an index, with the names and the CRS that it had.

    TorchGeo's ``random_grid_cell_assignment`` makes a table without names of columns, and in
    TorchGeo 0.8 without CRS.

    Args:
        table: the part.
        known: the index that it was made of.

    Returns:
        the part, unchanged where nothing is missing.
    """
    names = [*known.columns, 'geometry']
    if len(table.columns) == len(names) and list(table.columns[:-1]) == list(
        range(len(known.columns))
    ):
        columns = {name: table[i].to_numpy() for i, name in enumerate(known.columns)}
        del columns[known.geometry.name]
        geometry = table.geometry.to_numpy()
        table = gpd.GeoDataFrame(columns, index=table.index, geometry=geometry, crs=known.crs)
        table = table.astype(known.dtypes[list(columns)].to_dict())
    return table if table.crs is not None else table.set_crs(known.crs)
