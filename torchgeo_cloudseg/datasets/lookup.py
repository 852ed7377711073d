"""The index of a data set: in any CRS, and with all it needs whoever has divided it."""

from __future__ import annotations

import math

import geopandas as gpd
import pyproj

from ..index import project
from .joins import Joinable


class LookupCRS(Joinable):
    """A data set whose index is projected across the antimeridian, too."""

    @property
    def index(self) -> gpd.GeoDataFrame:
        """One row per scene; whoever assigns another table has changed the data set."""
        return self._index

    @index.setter
    def index(self, table: gpd.GeoDataFrame) -> None:
        """Take another table, such as a part of the present one."""
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
        if new_crs != self.crs:
            before = self.index.geometry.iloc[:1]
            self.index = self.index.set_geometry(project(self.index.geometry, new_crs))
            if len(before) and not same_unit(before.crs, new_crs):
                self._res = resolution_after(self.res, before, self.index.geometry.iloc[:1])


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
