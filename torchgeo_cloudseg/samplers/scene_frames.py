"""Scenes and patches as tables: where they lie, and how many pixels they have.

A table of scenes has one row each: ``left``, ``top``, ``xres`` and ``yres`` in units of the CRS of
the scene's data set, ``height`` and ``width`` in pixels, ``name`` (None where the data set has no
names), ``zone`` (position of the data set within its container), ``crs`` (as ``EPSG:code`` or WKT)
``region`` (its outline as far as it lies in the region of interest, in pixels ``(column, row)`` of
the scene; None where that is all of the rectangle) and ``cut`` (whether the region of interest has
left some of it out). Its index is the time of observation.

A table of patches has one row each: ``scene`` (row of the table of scenes), ``row`` and ``col`` of
the first pixel, counted from the upper left corner of the scene, ``height`` and ``width``, all in
pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from torchgeo.datasets import GeoDataset

from ..datasets.joins import require_sampleable
from ..datasets.query import SceneSlice, crs_text
from .region import TOLERANCE_PX, clip_scenes, own_regions

#: Time of interest.
Times: TypeAlias = 'pd.Interval | tuple[Any, Any] | slice'


def find_scenes(
    dataset: GeoDataset,
    roi: BaseGeometry | None = None,
    roi_crs: pyproj.CRS | str | None = None,
    toi: Times | None = None,
) -> pd.DataFrame:
    """Scenes of a data set, or of all data sets of a container.

    Args:
        dataset: any GeoDataset whose index has one row per scene, or a container of such.
        roi: region of interest; scenes that it does not touch are left out.
        roi_crs: CRS of *roi* (defaults to the CRS of *dataset*).
        toi: time of interest; scenes outside are left out.

    Returns:
        a table of scenes.

    Raises:
        TypeError: if *roi* is no single shape.
        ValueError: if *roi* crosses itself, no scene is left, or samples of the data set would make
            no sense.
    """
    if roi is not None and not isinstance(roi, BaseGeometry):
        raise TypeError(
            f'roi is a {type(roi).__name__}: expected one shape, such as shapely.box(west, south, '
            'east, north). Of a table of areas, pass roi=areas.union_all(), roi_crs=areas.crs.'
        )
    if roi is not None and not roi.is_valid:
        raise ValueError(
            f'roi is no valid shape ({shapely.is_valid_reason(roi)}). Mend it: shapely.make_valid.'
        )
    require_sampleable(dataset)
    parts: Sequence[GeoDataset] = getattr(dataset, 'zone_datasets', None) or [dataset]
    tables = [_scenes(part, zone) for zone, part in enumerate(parts)]
    if roi is not None:
        stated = pyproj.CRS.from_user_input(roi_crs if roi_crs is not None else dataset.crs)
        tables = [
            clip_scenes(table, part.crs, roi, stated)
            for table, part in zip(tables, parts, strict=True)
        ]
    scenes = pd.concat(tables)
    if toi is not None:
        scenes = scenes[scenes.index.overlaps(time_interval(toi))]
    if scenes.empty:
        raise ValueError(
            f'No scene of {type(dataset).__name__} is left to sample from: of '
            f'{sum(len(part.index) for part in parts)} scenes none lies in roi={roi}, toi={toi}.'
        )
    return scenes.drop(columns='outline')


def time_interval(toi: Times) -> pd.Interval:
    """Time of interest, however it is written.

    Args:
        toi: an interval, start and stop, or a slice, of whatever :class:`pandas.Timestamp` takes;
            None for an open end. Times with a time zone are brought to UTC, in which scenes are.

    Returns:
        the interval.

    Raises:
        ValueError: if it is none.
    """
    closed = 'both'
    if isinstance(toi, pd.Interval):
        start, stop, closed = toi.left, toi.right, toi.closed
    elif isinstance(toi, slice):
        start, stop = toi.start, toi.stop
    else:
        start, stop = toi if np.ndim(toi) == 1 and len(toi) == 2 else (pd.NaT, pd.NaT)
    ends = []
    for time, default in ((start, pd.Timestamp.min), (stop, pd.Timestamp.max)):
        moment = default if time is None else pd.Timestamp(time)
        ends.append(moment if moment.tz is None else moment.tz_convert('UTC').tz_localize(None))
    if not ends[0] <= ends[1]:
        raise ValueError(f'toi={toi!r}: expected a start and a later stop, None for an open end.')
    return pd.Interval(*ends, closed=closed)


def _scenes(dataset: GeoDataset, zone: int) -> pd.DataFrame:
    """Table of the scenes of one data set."""
    index = dataset.index
    index = index[~index.geometry.is_empty.to_numpy()]
    outlines = index.geometry.to_numpy()
    west, south, east, north = shapely.bounds(outlines).reshape(-1, 4).T
    crs = crs_text(dataset.crs)
    # a scene that is not warped has a grid of its own, from its corner on, however it is clipped
    native = _column(index, 'native_crs', '') == crs
    scenes = pd.DataFrame(index=index.index)
    for name, res in zip(('xres', 'yres'), dataset.res, strict=True):
        # scenes that differ by a hair from the data set's resolution keep their own
        own = _column(index, name, res)
        scenes[name] = np.where(np.abs(own / res - 1) < 0.01, own, res)
    xres, yres = scenes['xres'].to_numpy(), scenes['yres'].to_numpy()
    step = getattr(dataset, 'grid_step_px', 1)
    left = np.where(native, _column(index, 'left', 0.0), west)
    top = np.where(native, _column(index, 'top', 0.0), north)
    slack = np.where(native, TOLERANCE_PX, 0.5)
    col, row = (
        np.ceil((start - slack) / step) * step
        for start in ((west - left) / xres, (top - north) / yres)
    )
    scenes['left'], scenes['top'] = left + col * xres, top - row * yres
    scenes['height'] = (np.floor((top - south) / yres + slack) - row).astype(np.int64)
    scenes['width'] = (np.floor((east - left) / xres + slack) - col).astype(np.int64)
    scenes['name'] = _column(index, 'scene', None)
    scenes['crs'] = crs
    scenes['zone'] = zone
    scenes['outline'] = outlines
    scenes['region'] = own_regions(scenes)
    scenes['cut'] = False
    return scenes[(scenes['height'] > 0) & (scenes['width'] > 0)]


def _column(index: pd.DataFrame, name: str, default: Any) -> NDArray[Any]:
    """A column of an index, of the first data set where it is that of an intersection."""
    for key in (name, f'{name}_1'):
        if key in index:
            values: NDArray[Any] = index[key].to_numpy()
            return values.astype(float) if isinstance(default, float) else values
    return np.full(len(index), default)


def patch_table(scene: Any, row: Any, col: Any, height: Any, width: Any) -> pd.DataFrame:
    """Make a table of patches.

    Args:
        scene: array of rows of the table of scenes.
        row: first pixel row, or an array of them.
        col: first pixel column, or an array of them.
        height: pixels, or an array of them.
        width: pixels, or an array of them.

    Returns:
        the table.
    """
    columns = {'row': row, 'col': col, 'height': height, 'width': width}
    return pd.DataFrame({'scene': scene, **columns}, dtype=np.int64)


def queries(scenes: pd.DataFrame, patches: pd.DataFrame) -> Iterator[SceneSlice]:
    """Queries for patches.

    Args:
        scenes: table of scenes.
        patches: table of patches.

    Yields:
        a query for each, in the CRS of the scene's data set.
    """
    of = scenes.iloc[patches['scene']]
    left, top, xres, yres = of[['left', 'top', 'xres', 'yres']].to_numpy().T
    row, col, height, width = patches[['row', 'col', 'height', 'width']].to_numpy().T
    west, east = left + col * xres, left + (col + width) * xres
    south, north = top - (row + height) * yres, top - row * yres
    places = np.stack([west, east, xres, south, north, yres], axis=1).tolist()
    facts = zip(of['name'], of['zone'].tolist(), of['crs'], strict=True)
    for place, time, fact in zip(places, of.index, facts, strict=True):
        times = slice(time.left, time.right, 1)
        yield SceneSlice((slice(*place[:3]), slice(*place[3:]), times), *fact)


def within_roi(scenes: pd.DataFrame, patches: pd.DataFrame) -> NDArray[np.bool_]:
    """Which patches lie within the region of interest.

    Args:
        scenes: table of scenes.
        patches: table of patches within scenes.

    Returns:
        bool array of shape (N,).
    """
    regions = scenes['region'].to_numpy()[patches['scene']]
    col, row, right, bottom = patches['col'], patches['row'], patches['width'], patches['height']
    boxes = shapely.box(col, row, col + right, row + bottom)
    inside: NDArray[np.bool_] = shapely.is_missing(regions) | shapely.covers(regions, boxes)
    return inside
