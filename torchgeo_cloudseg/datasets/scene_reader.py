"""Reading the pixels of scenes: copied as stored, or warped where another grid is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyproj
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..index import Layer
from ..rasters import (
    Grid,
    Resampling,
    SceneError,
    nearest,
    read_window,
    size_at,
    warp,
    window_under,
)
from .legend import to_classes

Shape = tuple[int, int]
Pixels = NDArray[Any]

#: Largest error of position within a query that is read without resampling.
MAX_DRIFT_PX = 0.5


class Scene(NamedTuple):
    """Where a scene lies, and its files."""

    name: str
    #: Native coordinate reference system, as text.
    crs: str
    #: Upper left corner and pixel size, in units of the CRS.
    left: float
    top: float
    xres: float
    yres: float
    #: Size in pixels.
    height: int
    width: int
    #: File of every modality, by key, and its height and width in pixels.
    paths: Mapping[str, str]
    sizes: Mapping[str, Shape]
    #: True where the files do not say where they lie, and the name of the scene does.
    nominal: bool


class Target(NamedTuple):
    """The grid on which a sample is returned."""

    x: slice
    y: slice
    #: Size in pixels.
    height: int
    width: int
    #: Coordinate reference system, as text.
    crs: str


@dataclass(frozen=True)
class SceneReader:
    """Reads one modality of some scenes onto a target grid."""

    layers: Mapping[str, Layer]
    #: Pixels of the returned label per pixel of the target.
    label_ratio: Fraction
    #: Class of each stored label code, negative for an unknown one.
    label_lookup: NDArray[np.int64]
    #: Value for ground that no scene covers, by key; per band where it is a tuple.
    fills: Mapping[str, float | tuple[float, ...]]
    #: Keep files open between reads.
    cache: bool
    #: Files of which an empty window was read that are known to hold data elsewhere.
    _with_data: set[str] = field(default_factory=set, repr=False)

    def read(self, key: str, scenes: Sequence[Scene], target: Target) -> Tensor:
        """Read one modality and merge the scenes, the first one on top.

        Args:
            key: the modality.
            scenes: one or more scenes.
            target: where to read.

        Returns:
            float32 (C, H, W), or int64 (H, W) for labels and masks.

        Raises:
            SceneError: if a file is missing or broken or holds an unknown label code.
        """
        layer = self.layers[key]
        data, missing = self._read_scene(layer, scenes[0], target)
        for scene in scenes[1:]:
            if missing is None or not missing.any():
                break
            values, absent = self._read_scene(layer, scene, target)
            data = np.where(missing, values, data)
            missing = None if absent is None else missing & absent
        dtype = np.int64 if layer.categorical else np.float32
        data = data.astype(dtype, order='C', copy=not data.flags.writeable)
        if missing is not None and missing.any():
            fill = np.asarray(self.fills.get(key, 0), dtype=data.dtype)
            data[:, missing] = fill[:, None] if fill.ndim else fill
        return torch.from_numpy(data[0] if layer.categorical else data)

    def _read_scene(
        self, layer: Layer, scene: Scene, target: Target
    ) -> tuple[Pixels, NDArray[np.bool_] | None]:
        """Pixels of one scene on the target's grid, and where there are none."""
        return (self._copy if _is_native(scene, target) else self._warp)(layer, scene, target)

    def _out_ratio(self, layer: Layer) -> Fraction:
        """Pixels of the output per pixel of the target."""
        return self.label_ratio if layer.key == 'mask' else Fraction(1)

    def _copy(
        self, layer: Layer, scene: Scene, target: Target
    ) -> tuple[Pixels, NDArray[np.bool_] | None]:
        """Pixels as stored, and where there are none (None: nowhere)."""
        out = self._out_ratio(layer)
        shape = size_at(target.height, out), size_at(target.width, out)
        row = round((scene.top - target.y.stop) / scene.yres)
        col = round((target.x.start - scene.left) / scene.xres)
        height, width = scene.sizes[layer.key]
        rows = nearest(row, target.height, height, layer.ratio, out)
        cols = nearest(col, target.width, width, layer.ratio, out)
        if rows is None or cols is None:
            return np.zeros((len(layer.bands), *shape), layer.dtypes[0]), np.ones(shape, bool)
        values = self._load(layer, scene, (rows.low, rows.high), (cols.low, cols.high))
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

    def _warp(
        self, layer: Layer, scene: Scene, target: Target
    ) -> tuple[Pixels, NDArray[np.bool_] | None]:
        """Pixels resampled to the target's grid, and where there are none."""
        out_ratio, x, y = self._out_ratio(layer), target.x, target.y
        shape = size_at(target.height, out_ratio), size_at(target.width, out_ratio)
        step, ratio = float(out_ratio), float(layer.ratio)
        wanted = Grid.north_up(target.crs, (x.start, y.stop), (x.step / step, y.step / step), shape)
        pixel, size_px = (scene.xres / ratio, scene.yres / ratio), scene.sizes[layer.key]
        whole = Grid.north_up(scene.crs, (scene.left, scene.top), pixel, size_px)
        warped_type = np.int16 if layer.categorical else np.float64
        rows, cols = window_under(whole, wanted)
        if rows[0] >= rows[1] or cols[0] >= cols[1]:
            return np.zeros((len(layer.bands), *shape), warped_type), np.ones(shape, bool)
        values = self._load(layer, scene, rows, cols).astype(warped_type)
        resampling: Resampling = 'nearest' if layer.categorical else 'bilinear'
        return warp(values, whole.part(rows, cols), wanted, resampling)

    def _load(
        self, layer: Layer, scene: Scene, rows: tuple[int, int], cols: tuple[int, int]
    ) -> Pixels:
        """A window of a file, with classes for codes and without missing measurements."""
        path = scene.paths[layer.key]
        values = read_window(path, rows, cols, self.cache)
        if layer.key == 'mask':
            return to_classes(path, values, self.label_lookup)
        if layer.may_be_nan and np.isnan(values).any():
            return np.where(np.isnan(values), self._mean(layer, scene), values)
        if layer.nodata is not None and (values[:, 0, 0] == layer.nodata).all():
            self._require_data(layer, scene, values)
        return values

    def _whole(self, layer: Layer, scene: Scene) -> Pixels:
        """All pixels of a file."""
        height, width = scene.sizes[layer.key]
        return read_window(scene.paths[layer.key], (0, height), (0, width), self.cache)

    def _require_data(self, layer: Layer, scene: Scene, values: Pixels) -> None:
        """Refuse a file without a single pixel of data, of which some pixels have been read.

        A window without data is fine: scenes may have an empty border.
        """
        path = scene.paths[layer.key]
        if path in self._with_data or (values != layer.nodata).any():
            return
        if (self._whole(layer, scene) == layer.nodata).all():
            raise no_data(path, layer)
        self._with_data.add(path)

    def _mean(self, layer: Layer, scene: Scene) -> float:
        """Mean of a layer over all its bands on the scene's grid, as in the authors' code."""
        path = scene.paths[layer.key]
        height, width = scene.sizes[layer.key]
        values = self._whole(layer, scene)
        if np.isnan(values).all():
            raise SceneError(path, 'NaN in every pixel', 'at least one measurement')
        rows = nearest(0, scene.height, height, layer.ratio, Fraction(1))
        cols = nearest(0, scene.width, width, layer.ratio, Fraction(1))
        if rows is not None and cols is not None:
            values = values[:, rows.source][:, :, cols.source]
        return float(np.nanmean(values))


def no_data(path: str, layer: Layer) -> SceneError:
    """The error for a file without a single pixel of data.

    Args:
        path: the file.
        layer: its modality.

    Returns:
        an error that names the file.
    """
    return SceneError(path, f'no data ({layer.nodata}) in every pixel', 'an image')


def _is_native(scene: Scene, target: Target) -> bool:
    """Whether a scene can be returned as stored."""
    # scenes of one data set may differ by a hair in resolution: it does not matter as long as the
    # last pixel of the query is still the nearest one
    drift_x = abs(target.x.step / scene.xres - 1) * target.width
    drift_y = abs(target.y.step / scene.yres - 1) * target.height
    return max(drift_x, drift_y) < MAX_DRIFT_PX and _same_crs(scene.crs, target.crs)


@lru_cache(maxsize=1024)
def _same_crs(first: str, second: str) -> bool:
    if first == second:
        return True
    same: bool = pyproj.CRS.from_user_input(first) == pyproj.CRS.from_user_input(second)
    return same
