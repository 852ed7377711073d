"""Scenes and their pixels: copied as stored, or warped where another grid is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..index import Layer
from ..index.scene_table import GRID, PLACE, SIZE
from ..rasters import (
    Grid,
    SceneError,
    nearest,
    only_value,
    read_window,
    size_at,
    warp,
    window_under,
)
from .legend import CodeTable
from .query import same_crs

Pixels = NDArray[Any]

#: Pixels, and where there are none (None: nowhere).
Found = tuple[Pixels, NDArray[np.bool_] | None]

#: First row or column, and the one after the last.
Span = tuple[int, int]

#: Largest error of position within a query that is read without resampling.
MAX_DRIFT_PX = 0.5


class SceneFile(NamedTuple):
    """A file of a scene, or the part of one that covers it."""

    path: str
    #: Size in pixels, of the part.
    height: int
    width: int
    #: Its own grid; None where its pixels lie on the scene's grid.
    grid: Grid | None = None
    #: Row and column of the file in which the part begins.
    row: int = 0
    col: int = 0


class Scene(NamedTuple):
    """Where a scene lies, and its files."""

    name: str
    #: Its native grid; the coordinate reference system is text.
    grid: Grid
    #: True where the files do not say where they lie, and the name of the scene does.
    nominal: bool
    #: File of every modality, by key.
    files: Mapping[str, SceneFile]


class SceneList:
    """All scenes of a table, in its order.

    Columns are kept as arrays and a scene is made when it is asked for: fifty thousand of them,
    each with its five files, would cost every worker seconds and some hundred megabytes.
    """

    def __init__(self, table: pd.DataFrame, layers: Collection[str]) -> None:
        """Initialize a new SceneList instance.

        Args:
            table: the scenes, see :func:`~torchgeo_cloudseg.index.read_scene_table`.
            layers: the modalities by key; those that the table lacks are left out.
        """
        self._facts = [_array(table[name]) for name in GRID]
        #: Names of the scenes, in order.
        self.names: list[str] = table['scene'].to_list()
        self._files = {
            key: [
                _array(table[name])
                for name in (key, *(f'{key}_{fact}' for fact in (*SIZE, *PLACE)))
                if name in table
            ]
            for key in layers
            if key in table
        }

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.names)

    def __getitem__(self, index: int | slice) -> Any:
        """Retrieve a scene.

        Args:
            index: its position, or a slice of positions.

        Returns:
            the :class:`Scene`, or a list of scenes.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        facts = (column.item(index) for column in self._facts)
        crs, left, top, xres, yres, height, width, nominal = facts
        grid = Grid.north_up(crs, (left, top), (xres, yres), (height, width))
        files = {
            key: _scene_file(grid, *(column.item(index) for column in columns))
            for key, columns in self._files.items()
        }
        return Scene(self.names[index], grid, nominal, files)


def _scene_file(scene: Grid, path: str, height: int, width: int, *place: Any) -> SceneFile:
    """A file of a scene.

    Args:
        scene: the scene's grid.
        path: the file.
        height: its rows.
        width: its columns.
        *place: where it lies, if it may lie anywhere, see :data:`~.scene_table.PLACE`.

    Returns:
        the file, with its place.
    """
    grid = None
    if place and place[0]:
        crs, left, top, xres, yres = place
        grid = Grid.north_up(crs, (left, top), (xres, yres), (height, width))
        row, col = scene.position_in(grid) or (-1, -1)
        if 0 <= row <= height - scene.height and 0 <= col <= width - scene.width:
            return SceneFile(path, scene.height, scene.width, None, row, col)
    elif place and (height, width) != (scene.height, scene.width):
        grid = Grid.from_bounds(scene.crs, scene.bounds, (height, width))
    return SceneFile(path, height, width, grid)


def _array(column: pd.Series) -> NDArray[Any]:
    """A column whose elements are cheap to reach, unlike those of a pandas string array."""
    values: NDArray[Any] = column.to_numpy(None if column.dtype.kind in 'biuf' else object)
    return values


@dataclass(frozen=True)
class SceneReader:
    """Reads one modality of some scenes onto a target grid."""

    layers: Mapping[str, Layer]
    #: Pixels of the returned label per pixel of the target.
    label_ratio: Fraction
    #: What the stored codes of labels and cloud masks mean, by key.
    codes: Mapping[str, CodeTable]
    #: Value for ground that no scene covers, by key; per band where it is a tuple.
    fills: Mapping[str, float | tuple[float, ...]]
    #: Keep files open between reads.
    cache: bool

    def read(self, key: str, scenes: Sequence[Scene], target: Grid) -> Tensor:
        """Read one modality and merge the scenes, the first one that has data on top.

        Args:
            key: the modality.
            scenes: one or more scenes.
            target: where to read; its coordinate reference system is text.

        Returns:
            float32 (C, H, W), or int64 (H, W) for labels and masks.

        Raises:
            SceneError: if a file is missing or broken or holds an unknown label code.
        """
        layer = self.layers[key]
        alone = len(scenes) == 1
        data, missing = self._read_scene(layer, scenes[0], target, keep_nan=not alone)
        if not alone:
            holes = self._holes(layer, scenes[0], target, data, missing)
            for scene in scenes[1:]:
                if not holes.any():
                    break
                values, absent = self._read_scene(layer, scene, target, keep_nan=True)
                empty = self._holes(layer, scene, target, values, absent)
                data = np.where(holes & ~empty, values, data)
                missing = None if missing is None or absent is None else missing & absent
                holes &= empty
            if layer.may_be_nan:
                data = self._without_nan(layer, scenes[0], data)
        dtype = np.int64 if layer.categorical else np.float32
        data = data.astype(dtype, order='C', copy=not data.flags.writeable)
        if missing is not None and missing.any():
            fill = np.asarray(self.fills.get(key, 0), dtype=data.dtype)
            data[:, missing] = fill[:, None] if fill.ndim else fill
        return torch.from_numpy(data[0] if layer.categorical else data)

    def _holes(
        self,
        layer: Layer,
        scene: Scene,
        target: Grid,
        values: Pixels,
        missing: NDArray[np.bool_] | None,
    ) -> NDArray[np.bool_]:
        """Where a scene has nothing to show, and another one may (H, W)."""
        holes = np.zeros(values.shape[1:], bool) if missing is None else missing.copy()
        if layer.key == 'mask':
            return np.asarray(holes | (values[0] == self.fills.get('mask', 255)))
        if layer.key == 'mask_cloud' and 'image' in scene.files:
            # a cloud mask does not say where there is no image
            image = self.layers['image']
            found = self._read_scene(image, scene, target, keep_nan=True)
            return holes | self._holes(image, scene, target, *found)
        if layer.may_be_nan:
            holes |= np.isnan(values).all(axis=0)
        if layer.nodata is not None:
            holes |= (values == layer.nodata).all(axis=0)
        return holes

    def _read_scene(self, layer: Layer, scene: Scene, target: Grid, keep_nan: bool) -> Found:
        """Pixels of one scene on the target's grid, and where it has none."""
        native = scene.files[layer.key].grid is None and _is_native(scene, target)
        read = self._copy if native else self._warp
        return read(layer, scene, target, keep_nan)

    def _out_ratio(self, layer: Layer) -> Fraction:
        """Pixels of the output per pixel of the target."""
        return self.label_ratio if layer.key == 'mask' else Fraction(1)

    def _copy(self, layer: Layer, scene: Scene, target: Grid, keep_nan: bool) -> Found:
        """Pixels as stored, and where there are none (None: nowhere)."""
        out = self._out_ratio(layer)
        shape = size_at(target.height, out), size_at(target.width, out)
        wanted, own = target.transform, scene.grid.transform
        row, col = round((wanted.f - own.f) / own.e), round((wanted.c - own.c) / own.a)
        file = scene.files[layer.key]
        rows = nearest(row, target.height, file.height, layer.ratio, out)
        cols = nearest(col, target.width, file.width, layer.ratio, out)
        if rows is None or cols is None:
            return np.zeros(
                (len(layer.bands), *shape), layer.dtypes[0] if layer.dtypes else np.float32
            ), np.ones(shape, bool)
        span = (rows.low, rows.high), (cols.low, cols.high)
        values = self.load(layer, scene, *span, keep_nan)
        if not rows.contiguous or not cols.contiguous:
            if not layer.categorical:  # as it is returned: half the bytes of float64 to move
                values = values.astype(np.float32)
            values = values.take(rows.source, axis=1).take(cols.source, axis=2)
        if values.shape[1:] == shape:
            return values, None
        padded = np.zeros((len(values), *shape), values.dtype)
        missing = np.ones(shape, bool)
        padded[:, rows.start : rows.stop, cols.start : cols.stop] = values
        missing[rows.start : rows.stop, cols.start : cols.stop] = False
        return padded, missing

    def _warp(self, layer: Layer, scene: Scene, target: Grid, keep_nan: bool) -> Found:
        """Pixels resampled to the target's grid, and where there are none."""
        out = self._out_ratio(layer)
        shape = size_at(target.height, out), size_at(target.width, out)
        wanted = target.scaled(out, shape)
        file = scene.files[layer.key]
        whole = file.grid or scene.grid.scaled(layer.ratio, (file.height, file.width))
        warped_type = np.int16 if layer.categorical else np.float64
        rows, cols = window_under(whole, wanted)
        if rows[0] >= rows[1] or cols[0] >= cols[1]:
            return np.zeros((len(layer.bands), *shape), warped_type), np.ones(shape, bool)
        values = self.load(layer, scene, rows, cols, keep_nan).astype(warped_type)
        how: Literal['nearest', 'bilinear'] = 'nearest' if layer.categorical else 'bilinear'
        nodata = np.nan if layer.may_be_nan else layer.nodata
        return warp(values, whole.part(rows, cols), wanted, how, nodata)

    def load(
        self,
        layer: Layer,
        scene: Scene,
        rows: Span | None = None,
        cols: Span | None = None,
        keep_nan: bool = False,
    ) -> Pixels:
        """Read pixels of a file, with classes for codes and without missing measurements.

        Args:
            layer: the modality.
            scene: the scene.
            rows: first row and the one after the last (defaults to all).
            cols: first column and the one after the last (defaults to all).
            keep_nan: leave missing measurements as they are.

        Returns:
            array (C, H, W) in the stored data type, or int64 classes.

        Raises:
            SceneError: if the file is missing or broken, holds an unknown label code, or has not
                a single pixel of data.
        """
        file = scene.files[layer.key]
        (top, bottom), (left, right) = rows or (0, file.height), cols or (0, file.width)
        values = read_window(
            file.path,
            (file.row + top, file.row + bottom),
            (file.col + left, file.col + right),
            self.cache,
            layer.numbers,
        )
        if layer.key in self.codes:
            classes = self.codes[layer.key].to_classes(file.path, values)
            # of several masks, any
            return classes if len(classes) == 1 else classes.max(axis=0, keepdims=True)
        if layer.may_be_nan and not keep_nan:
            return self._without_nan(layer, scene, values)
        if layer.may_be_nan and layer.nodata is not None:
            return np.where(values == layer.nodata, np.nan, values)
        if layer.anywhere and layer.nodata is not None and values.dtype.kind == 'f':
            values = np.where(np.isfinite(values), values, layer.nodata)
        # what may lie anywhere was looked at when it was indexed
        known = layer.nodata is None or layer.anywhere
        empty = not known and (values[:, 0, 0] == layer.nodata).all()
        if empty and (values == layer.nodata).all():
            _require_data(file, layer.nodata)
        return values

    def _measured(self, layer: Layer, values: Pixels) -> Pixels:
        """Measurements, with their mean by band in place of those that are missing."""
        missing = ~np.isfinite(values)
        if layer.nodata is not None:
            missing |= values == layer.nodata
        if not missing.any():
            return values
        fills = np.broadcast_to(self.fills.get(layer.key, 0), len(values))
        filled = values.copy()
        for band, absent, fill in zip(filled, missing, fills, strict=True):
            band[absent] = fill if absent.all() else band[~absent].mean()
        return filled

    def _without_nan(self, layer: Layer, scene: Scene, values: Pixels) -> Pixels:
        """Pixels with the mean of the file, on the scene's grid, for missing measurements.

        Bands have means of their own, unless the layer says that the authors take one of all.

        Returns:
            pixels of the same shape, without NaN.
        """
        if layer.anywhere:
            return self._measured(layer, values)
        if not np.isnan(values).any():
            return values
        path, height, width, *_ = scene.files[layer.key]
        stored = read_window(path, (0, height), (0, width), self.cache)
        if np.isnan(stored).all(axis=None if layer.joint_mean else (1, 2)).any():
            bands = 'every pixel' if layer.joint_mean else 'every pixel of a band'
            raise SceneError(path, f'NaN in {bands}', 'at least one measurement')
        rows = nearest(0, scene.grid.height, height, layer.ratio, Fraction(1))
        cols = nearest(0, scene.grid.width, width, layer.ratio, Fraction(1))
        if rows is not None and cols is not None:
            stored = stored[:, rows.source][:, :, cols.source]
        axes = None if layer.joint_mean else (1, 2)
        means = np.nanmean(stored, axis=axes, keepdims=True, dtype=np.float64)
        return np.where(np.isnan(values), means.astype(values.dtype), values)


@lru_cache(maxsize=4096)
def _require_data(file: SceneFile, nodata: float | None) -> None:
    """Refuse a file without a single pixel of data; that others have some is remembered.

    A window without data is fine: scenes may have an empty border.
    """
    if only_value(partial(read_window, file.path), file.height, file.width) == nodata:
        raise SceneError(file.path, f'no data ({nodata}) in every pixel', 'an image')


def _is_native(scene: Scene, target: Grid) -> bool:
    """Whether a scene can be returned as stored."""
    # scenes of one data set may differ by a hair in resolution: it does not matter as long as the
    # last pixel of the query is still the nearest one
    wanted, own = target.transform, scene.grid.transform
    drift_x, drift_y = abs(wanted.a / own.a - 1), abs(wanted.e / own.e - 1)
    drift_px = max(drift_x * target.width, drift_y * target.height)
    return drift_px < MAX_DRIFT_PX and same_crs(scene.grid.crs, target.crs)
