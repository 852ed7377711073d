"""Raster data sets whose samples join several co-registered modalities of one scene."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
import torch
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError, RasterDataset

from .._compat import georeference
from .errors import SceneError
from .footprints import project
from .grid import nearest, size_at
from .layer import Layer
from .query import SceneSlice
from .raster_io import read_window
from .zoned import GLOBAL_CRS, ZonedDataset

Sample = dict[str, Any]
Shape = tuple[int, int]
Index = tuple[slice, slice, slice] | tuple[slice, slice] | tuple[slice] | slice


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
    height: int
    width: int


class SceneDataset(RasterDataset):
    """Abstract base of data sets made of scenes with several modalities on one grid.

    Where the query's CRS and resolution are the scene's own, pixels are copied as stored: no
    warping and no interpolation, each modality read on its own grid. Otherwise, because a *crs* or
    *res* was asked for, images are resampled bilinearly, labels and masks by nearest neighbour.
    """

    #: Modalities by sample key, in the order in which samples show them.
    layers: ClassVar[Mapping[str, Layer]]

    #: Modality on whose grid the scene lies.
    reference: ClassVar[str]

    #: Value for ground that no scene covers, by sample key; per band where it is a tuple.
    fills: ClassVar[Mapping[str, float | tuple[float, ...]]] = {}

    #: Label of pixels that belong to no class.
    ignore_index: ClassVar[int] = 255

    def _init_scenes(
        self,
        table: pd.DataFrame,
        modalities: Sequence[str],
        crs: pyproj.CRS | str | None,
        res: float | tuple[float, float] | None,
        transforms: Callable[[Sample], Sample] | None,
        cache: bool,
        label_ratio: Fraction,
        label_lookup: NDArray[np.int64],
    ) -> None:
        """Set up the index from a table of scenes.

        Args:
            table: the scenes, see :func:`~.scene_table.build_scene_table`.
            modalities: keys to return.
            crs: CRS of the index and of all samples; by default the scenes' own.
            res: pixel size in units of the CRS; by default the scenes' own.
            transforms: function of a sample.
            cache: keep files open between reads.
            label_ratio: pixels of the returned label per pixel of the scene's grid.
            label_lookup: class of each stored code 0..255; negative for an unknown code.

        Raises:
            DatasetNotFoundError: if there is no scene.
            ValueError: if scenes lie in several zones and no *crs* is given.
        """
        if table.empty:
            raise DatasetNotFoundError(self)
        self.modalities = tuple(modalities)
        self.bands = self.all_bands
        self.band_indexes = None
        self.time_series = False
        self.transforms = transforms
        self.cache = cache
        self._label_ratio = label_ratio
        self._label_lookup = label_lookup
        zones = table['crs'].value_counts()
        if crs is None and len(zones) > 1:
            listed = ', '.join(f'{zone} ({count} scenes)' for zone, count in zones.items())
            raise ValueError(
                f'The scenes of {self.__class__.__name__} lie in several zones: {listed}. A '
                'RasterDataset has one CRS, and warping across zones would resample reflectance '
                'and labels. Pass `crs=` to warp on purpose, `zone=` to take one zone, or use '
                f'{self.__class__.__name__}.zoned(...) to read every scene on its own grid.'
            )
        if res is None:
            res = (float(table['xres'].iloc[0]), float(table['yres'].iloc[0]))
        elif isinstance(res, int | float):
            res = (float(res), float(res))
        self._res = res
        self._init_index(table, crs if crs is not None else zones.index[0])

    def _init_index(self, table: pd.DataFrame, crs: pyproj.CRS | str) -> None:
        """Index some scenes in one CRS."""
        self._table = table
        self.__dict__.pop('scenes', None)
        self.__dict__.pop('_scene_ids', None)
        time = pd.IntervalIndex.from_arrays(
            table['mint'], table['maxt'], closed='both', name='datetime'
        )
        columns = {
            'filepath': table[self.reference].to_numpy(),
            'scene': table['scene'].to_numpy(),
            'area': table['area'].to_numpy(),
            'scene_id': np.arange(len(table)),
            'xres': table['xres'].to_numpy(),
            'yres': table['yres'].to_numpy(),
        }
        target = pyproj.CRS.from_user_input(crs)
        right = table['left'] + table['xres'] * table['width']
        bottom = table['top'] - table['yres'] * table['height']
        boxes = gpd.GeoSeries(shapely.box(table['left'], bottom, right, table['top']))
        parts = [
            project(boxes[table['crs'] == zone].set_crs(zone), target)
            for zone in table['crs'].unique()
        ]
        outlines = pd.concat(parts).sort_index().to_numpy()
        self.index = gpd.GeoDataFrame(columns, index=time, geometry=outlines, crs=target)
        self._relate_crs()

    @classmethod
    def zoned(cls, *args: Any, crs: str = GLOBAL_CRS, **kwargs: Any) -> ZonedDataset:
        """The whole data set, however many UTM zones it lies in, each scene on its own grid.

        Args:
            *args: arguments of the data set.
            crs: CRS of the common index; nothing is warped to it unless asked for.
            **kwargs: keyword arguments of the data set.

        Returns:
            a container that the samplers of this package draw from.
        """
        arguments: dict[str, Any] = {**kwargs, 'crs': crs}
        whole = cls(*args, **arguments)
        return ZonedDataset(whole.by_zone(), crs, whole)

    def by_zone(self) -> list[Self]:
        """One data set per CRS in which there are scenes, none of them warped.

        Returns:
            data sets that share everything but the index with this one.
        """
        zones = []
        for zone, table in self._table.groupby('crs', sort=True):
            part = copy.copy(self)
            part._init_index(table.reset_index(drop=True), str(zone))
            zones.append(part)
        return zones

    def _relate_crs(self) -> None:
        """Work out what the CRS of the samples means for each scene, once instead of per read."""
        self._epsg = self.index.crs.to_epsg() or 0
        zones = self._table['crs'].unique()
        self._native: dict[str, bool] = {
            zone: pyproj.CRS.from_user_input(zone) == self.index.crs for zone in zones
        }
        self._extent: tuple[gpd.GeoDataFrame, tuple[float, ...], pd.Timestamp, pd.Timestamp] | None
        self._extent = None

    @property
    def crs(self) -> pyproj.CRS:
        """:term:`coordinate reference system (CRS)` of the index and of all samples."""
        crs: pyproj.CRS = self.index.crs
        return crs

    @crs.setter
    def crs(self, new_crs: pyproj.CRS) -> None:
        """Change the CRS of the index and of all samples; scenes in another one are warped."""
        if new_crs != self.crs:
            self.index = self.index.set_geometry(project(self.index.geometry, new_crs))
            self._relate_crs()

    @property
    def bounds(self) -> tuple[slice, slice, slice]:
        """Bounding x, y and t slices of the index."""
        # kept while the index is the same object: summing it up at every read costs more than
        # the read itself
        if self._extent is None or self._extent[0] is not self.index:
            times = self.index.index
            box = tuple(float(side) for side in self.index.total_bounds)
            self._extent = (self.index, box, times.left.min(), times.right.max())
        _, (xmin, ymin, xmax, ymax), mint, maxt = self._extent
        return slice(xmin, xmax, self.res[0]), slice(ymin, ymax, self.res[1]), slice(mint, maxt, 1)

    @cached_property
    def scenes(self) -> list[Scene]:
        """All scenes, in the order of the column ``scene_id`` of the index."""
        grid = ('scene', 'crs', 'left', 'top', 'xres', 'yres', 'height', 'width')
        table = self._table
        keys = [key for key in self.layers if key in table]
        rows = table[list(grid)].itertuples(index=False, name=None)
        paths = table[keys].itertuples(index=False, name=None)
        heights = table[[f'{key}_height' for key in keys]].itertuples(index=False, name=None)
        widths = table[[f'{key}_width' for key in keys]].itertuples(index=False, name=None)
        return [
            Scene._make(
                (*row, dict(zip(keys, files, strict=True)), _sizes(keys, high, wide), nominal)
            )
            for row, files, high, wide, nominal in zip(
                rows, paths, heights, widths, table['nominal'].tolist(), strict=True
            )
        ]

    @cached_property
    def _scene_ids(self) -> dict[str, int]:
        """Position of each scene by name."""
        return {scene.name: i for i, scene in enumerate(self.scenes)}

    @property
    def files(self) -> list[str]:
        """All files of the modalities in use."""
        keys = [key for key in self.modalities if key in self._table]
        return sorted(path for key in keys for path in self._table[key])

    def __getitem__(self, index: Index) -> Sample:
        """Retrieve all modalities at a place and time.

        Args:
            index: ``[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax]`` in units of :attr:`crs`, or a
                :class:`SceneSlice` drawn by a sampler of this package.

        Returns:
            the modalities asked for (see :attr:`layers`), ``bounds``, ``transform`` (and ``crs``
            in TorchGeo 0.8), ``scene`` (int64 (1,), position in :attr:`scenes`) and ``epsg``
            (int64 (1,); 0 where the CRS has no code).

        Raises:
            IndexError: if no scene lies at *index*.
            SceneError: if a file is missing or broken or holds an unknown label code.
        """
        x, y, t = index if isinstance(index, SceneSlice) else self._disambiguate_slice(index)
        target = Target(
            x, y, round((y.stop - y.start) / y.step), round((x.stop - x.start) / x.step)
        )
        ids = self._find(index, target, t)
        sample: Sample = {**georeference(x, y, t, self.crs)}
        sample['scene'] = torch.tensor([ids[0]])
        sample['epsg'] = torch.tensor([self._epsg])
        for key in self.modalities:
            sample[key] = self._read(key, ids, target)
        return self.transforms(sample) if self.transforms is not None else sample

    def __getstate__(self) -> dict[str, Any]:
        """State for another process: lists of scenes are made anew from the compact table."""
        state = dict(self.__dict__)
        for derived in ('scenes', '_scene_ids'):
            state.pop(derived, None)
        return state

    def _find(self, index: Index, target: Target, t: slice) -> list[int]:
        """Positions of the scenes that a query touches, in the order of the index."""
        if isinstance(index, SceneSlice) and index.scene in self._scene_ids:
            return [self._scene_ids[index.scene]]
        x, y = target.x, target.y
        box = shapely.box(x.start, y.start, x.stop, y.stop)
        hits = np.sort(self.index.sindex.query(box, predicate='intersects'))
        times = self.index.index
        hits = hits[(times.left[hits] <= t.stop) & (times.right[hits] >= t.start)]
        if len(hits) > 1:  # a common edge is no overlap
            shared = shapely.area(shapely.intersection(self.index.geometry.values[hits], box))
            hits = hits[shared > 0] if (shared > 0).any() else hits[:1]
        if not len(hits):
            raise IndexError(f'index: {index} not found in dataset with bounds: {self.bounds}')
        return [int(i) for i in self.index['scene_id'].to_numpy()[hits]]

    def _is_native(self, scene: Scene, target: Target) -> bool:
        """Whether a scene can be returned as stored."""
        # scenes of one data set may differ by a hair in resolution: it does not matter as long as
        # the last pixel of the query is still the nearest one
        drift_x = abs(target.x.step / scene.xres - 1) * target.width
        drift_y = abs(target.y.step / scene.yres - 1) * target.height
        return max(drift_x, drift_y) < MAX_DRIFT_PX and self._native[scene.crs]

    def _read(self, key: str, ids: Sequence[int], target: Target) -> Tensor:
        """Read one modality and merge the scenes, the first one on top."""
        layer = self.layers[key]
        out_ratio = self._label_ratio if key == 'mask' else Fraction(1)
        shape = (size_at(target.height, out_ratio), size_at(target.width, out_ratio))
        data, missing = self._read_scene(layer, ids[0], target, out_ratio, shape)
        for i in ids[1:]:
            if not missing.any():
                break
            values, absent = self._read_scene(layer, i, target, out_ratio, shape)
            data = np.where(missing, values, data)
            missing &= absent
        data = data.astype(np.int64 if layer.categorical else np.float32)
        if missing.any():
            fill = np.asarray(self.fills.get(key, 0), dtype=data.dtype)
            data[:, missing] = fill[:, None] if fill.ndim else fill
        return torch.from_numpy(np.ascontiguousarray(data[0] if layer.categorical else data))

    def _read_scene(
        self, layer: Layer, scene_id: int, target: Target, out_ratio: Fraction, shape: Shape
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels of one scene on the target's grid, and where there are none."""
        scene = self.scenes[scene_id]
        read = self._copy if self._is_native(scene, target) else self._warp
        return read(layer, scene, target, out_ratio, shape)

    def _copy(
        self, layer: Layer, scene: Scene, target: Target, out_ratio: Fraction, shape: Shape
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels as stored, and where there are none."""
        row = round((scene.top - target.y.stop) / scene.yres)
        col = round((target.x.start - scene.left) / scene.xres)
        height, width = scene.sizes[layer.key]
        rows = nearest(row, target.height, height, layer.ratio, out_ratio)
        cols = nearest(col, target.width, width, layer.ratio, out_ratio)
        if rows is None or cols is None:
            return np.zeros((len(layer.bands), *shape), layer.dtypes[0]), np.ones(shape, bool)
        path = scene.paths[layer.key]
        values = read_window(path, (rows.low, rows.high), (cols.low, cols.high), self.cache)
        values = self._clean(layer, scene, values)
        if not rows.contiguous:
            values = values[:, rows.source]
        if not cols.contiguous:
            values = values[:, :, cols.source]
        if values.shape[1:] == shape:
            return values, np.zeros(shape, bool)
        padded = np.zeros((len(values), *shape), values.dtype)
        missing = np.ones(shape, bool)
        padded[:, rows.start : rows.stop, cols.start : cols.stop] = values
        missing[rows.start : rows.stop, cols.start : cols.stop] = False
        return padded, missing

    def _warp(
        self, layer: Layer, scene: Scene, target: Target, out_ratio: Fraction, shape: Shape
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels resampled to the target's grid, and where there are none."""
        size = scene.sizes[layer.key]
        path = scene.paths[layer.key]
        stored = read_window(path, (0, size[0]), (0, size[1]), self.cache)
        values = self._clean(layer, scene, stored)
        ratio, step = float(layer.ratio), float(out_ratio)
        x, y = target.x, target.y
        grids: dict[str, Any] = {
            'src_crs': scene.crs,
            'src_transform': Affine(
                scene.xres / ratio, 0, scene.left, 0, -scene.yres / ratio, scene.top
            ),
            'dst_crs': self.crs.to_wkt(),
            'dst_transform': Affine(x.step / step, 0, x.start, 0, -y.step / step, y.stop),
        }
        resampling = Resampling.nearest if layer.categorical else Resampling.bilinear
        source = values.astype(np.int16 if layer.categorical else np.float64)
        warped = np.zeros((len(source), *shape), source.dtype)
        reproject(source, warped, resampling=resampling, **grids)
        inside = np.zeros(shape, np.uint8)
        ones = np.ones(values.shape[1:], np.uint8)
        reproject(ones, inside, resampling=Resampling.nearest, **grids)
        return warped, inside == 0

    def _clean(self, layer: Layer, scene: Scene, values: NDArray[Any]) -> NDArray[Any]:
        """Turn stored codes into classes and fill missing measurements."""
        path = scene.paths[layer.key]
        if layer.key == 'mask':
            labels = self._label_lookup[values]
            if (labels < 0).any():
                codes = sorted({int(code) for code in values[labels < 0]})
                known = np.flatnonzero(self._label_lookup >= 0).tolist()
                raise SceneError(path, f'label code(s) {codes}', f'one of {known}')
            return np.asarray(labels)
        if layer.may_be_nan and np.isnan(values).any():
            return np.where(np.isnan(values), self._mean(layer, scene), values)
        return values

    def _mean(self, layer: Layer, scene: Scene) -> float:
        """Mean of a layer over all its bands on the scene's grid, as in the authors' code."""
        path = scene.paths[layer.key]
        height, width = scene.sizes[layer.key]
        values = read_window(path, (0, height), (0, width), self.cache)
        if np.isnan(values).all():
            raise SceneError(path, 'NaN in every pixel', 'at least one measurement')
        rows = nearest(0, scene.height, height, layer.ratio, Fraction(1))
        cols = nearest(0, scene.width, width, layer.ratio, Fraction(1))
        if rows is not None and cols is not None:
            values = values[:, rows.source][:, :, cols.source]
        return float(np.nanmean(values))


def _sizes(keys: list[str], heights: tuple[int, ...], widths: tuple[int, ...]) -> dict[str, Shape]:
    return {key: (h, w) for key, h, w in zip(keys, heights, widths, strict=True)}
