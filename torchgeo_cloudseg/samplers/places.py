"""Where patches can be drawn: the scenes of a data set as arrays of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import shapely
from geopandas import GeoSeries
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from torchgeo.datasets import GeoDataset

from ..datasets.query import SceneSlice
from ..index import project


@dataclass(frozen=True)
class Places:
    """Scenes of one or several data sets, one row each."""

    #: Upper left corner and pixel size, in units of the CRS of the scene's data set.
    left: NDArray[np.float64]
    top: NDArray[np.float64]
    xres: NDArray[np.float64]
    yres: NDArray[np.float64]
    #: Size in pixels.
    height_px: NDArray[np.int64]
    width_px: NDArray[np.int64]
    #: Time in which the scene was observed.
    times: pd.IntervalIndex
    #: Name of the scene; None where the data set has no names.
    names: NDArray[Any]
    #: Position of the data set within its container.
    zones: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.left)

    def patch(self, scene: int, row: int, col: int, size_px: tuple[int, int]) -> SceneSlice:
        """Query for a patch of a scene.

        Args:
            scene: row of the table.
            row: first pixel row, counted from the top of the scene.
            col: first pixel column, counted from its left.
            size_px: height and width.

        Returns:
            the query, in the CRS of the scene's data set.
        """
        left, top = float(self.left[scene]), float(self.top[scene])
        xres, yres = float(self.xres[scene]), float(self.yres[scene])
        x = slice(left + col * xres, left + (col + size_px[1]) * xres, xres)
        y = slice(top - (row + size_px[0]) * yres, top - row * yres, yres)
        time = self.times[scene]
        name = self.names[scene]
        zone = int(self.zones[scene])
        return SceneSlice((x, y, slice(time.left, time.right, 1)), name, zone)


def find_places(
    dataset: GeoDataset,
    roi: BaseGeometry | None = None,
    roi_crs: pyproj.CRS | str | None = None,
    toi: pd.Interval | None = None,
) -> Places:
    """Scenes of a data set, or of all data sets of a container.

    Args:
        dataset: any GeoDataset whose index has one row per scene, or a container of such.
        roi: region of interest; scenes that it does not touch are left out.
        roi_crs: CRS of *roi* (defaults to the CRS of *dataset*).
        toi: time of interest; scenes outside are left out.

    Returns:
        the scenes.

    Raises:
        TypeError: if *roi* is no single shape.
        ValueError: if no scene is left.
    """
    if roi is not None and not isinstance(roi, BaseGeometry):
        raise TypeError(
            f'roi is a {type(roi).__name__}: expected one shape, such as shapely.box(west, south, '
            'east, north). Of a table of areas, pass roi=areas.union_all(), roi_crs=areas.crs.'
        )
    parts: Sequence[GeoDataset] = getattr(dataset, 'zone_datasets', None) or [dataset]
    tables = [_table(part, zone) for zone, part in enumerate(parts)]
    if roi is not None:
        stated = pyproj.CRS.from_user_input(roi_crs if roi_crs is not None else dataset.crs)
        tables = [
            table[_touches(part.index.geometry, roi, stated)]
            for table, part in zip(tables, parts, strict=True)
        ]
    if toi is not None:
        tables = [table[table.index.overlaps(toi)] for table in tables]
    table = pd.concat(tables)
    if table.empty:
        raise ValueError(
            f'No scene of {type(dataset).__name__} is left to sample from: of '
            f'{sum(len(part.index) for part in parts)} scenes none lies in roi={roi}, toi={toi}.'
        )
    return Places(
        left=table['xmin'].to_numpy(),
        top=table['ymax'].to_numpy(),
        xres=table['xres'].to_numpy(),
        yres=table['yres'].to_numpy(),
        height_px=_pixels(table['ymax'] - table['ymin'], table['yres']),
        width_px=_pixels(table['xmax'] - table['xmin'], table['xres']),
        times=pd.IntervalIndex(table.index),
        names=table['name'].to_numpy(),
        zones=table['zone'].to_numpy(),
    )


def _table(dataset: GeoDataset, zone: int) -> pd.DataFrame:
    index = dataset.index
    bounds = shapely.bounds(index.geometry.values).reshape(-1, 4)
    table = pd.DataFrame(bounds, columns=['xmin', 'ymin', 'xmax', 'ymax'], index=index.index)
    for name, res in zip(('xres', 'yres'), dataset.res, strict=True):
        # scenes that differ by a hair from the data set's resolution keep their own
        own = index[name].to_numpy() if name in index else np.full(len(index), res)
        table[name] = np.where(np.abs(own / res - 1) < 0.01, own, res)
    table['name'] = index['scene'].to_numpy() if 'scene' in index else None
    table['zone'] = zone
    return table


def _touches(outlines: GeoSeries, roi: BaseGeometry, roi_crs: pyproj.CRS) -> NDArray[np.bool_]:
    """Which outlines a region touches."""
    # scenes are projected, not the region: it may be so large that it has no place in a UTM zone
    projected = project(outlines, roi_crs).to_numpy()
    there = np.isfinite(shapely.bounds(projected)).all(axis=1)
    touches: NDArray[np.bool_] = there & shapely.intersects(projected, roi)
    return touches


def _pixels(extent: pd.Series, res: pd.Series) -> NDArray[np.int64]:
    pixels: NDArray[np.int64] = (extent / res).round().to_numpy().astype(np.int64)
    return pixels
