"""Raster data sets whose samples join several co-registered modalities of one scene."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Self

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
import torch
from matplotlib.figure import Figure
from torchgeo.datasets import DatasetNotFoundError, RasterDataset

from .._compat import georeference
from .footprints import project
from .layer import Layer
from .legend import LandCoverClass, code_lookup
from .plotting import plot_sample
from .query import SceneSlice
from .scene_list import SceneList
from .scene_reader import SceneReader, Target
from .zoned import GLOBAL_CRS, ZonedDataset

Sample = dict[str, Any]
Index = tuple[slice, slice, slice] | tuple[slice, slice] | tuple[slice] | slice


class SceneDataset(RasterDataset):
    """Abstract base of data sets made of scenes with several modalities on one grid.

    Where the query's CRS and resolution are the scene's own, pixels are copied as stored: no
    warping and no interpolation, each modality read on its own grid. Otherwise, because a *crs* or
    *res* was asked for, images are resampled bilinearly, labels and masks by nearest neighbor.
    """

    #: Modalities by sample key, in the order in which samples show them.
    layers: ClassVar[Mapping[str, Layer]]

    #: Modality on whose grid the scene lies.
    reference: ClassVar[str]

    #: Classes of the labels, in order.
    legend: Sequence[LandCoverClass]

    #: Whether places may be nominal, so that samples have to say if they are.
    nominal_places: ClassVar[bool] = False

    #: Stored values that are brought to 0 and 1, by sample key; per band where they differ.
    ranges: ClassVar[Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]]

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
        unknown_codes: Sequence[int],
        zone: str | int | None = None,
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
            unknown_codes: stored label codes that stand for no class.
            zone: EPSG code of the scenes to keep; by default all.

        Raises:
            DatasetNotFoundError: if there is no scene.
            ValueError: if scenes lie in several zones and neither *crs* nor *zone* is given.
        """
        if table.empty:
            raise DatasetNotFoundError(self)
        if zone is not None:
            text = f'EPSG:{zone}' if str(zone).isdigit() else str(zone)
            check_choice('zone', text, sorted(table['crs'].unique()))
            table = table[table['crs'] == text].reset_index(drop=True)
        self.modalities = tuple(modalities)
        self.bands = self.all_bands
        self.band_indexes = None
        self.time_series = False
        self.transforms = transforms
        self.cache = cache
        lookup = code_lookup(self.legend, unknown_codes, self.ignore_index)
        self._reader = SceneReader(self.layers, label_ratio, lookup, self.fills, cache)
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
        # as arrays: geometries made of columns take several times as long
        left, top = table['left'].to_numpy(), table['top'].to_numpy()
        right = left + table['xres'].to_numpy() * table['width'].to_numpy()
        bottom = top - table['yres'].to_numpy() * table['height'].to_numpy()
        boxes = gpd.GeoSeries(shapely.box(left, bottom, right, top))
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
        """Keep what the CRS of the samples means, so that it is not asked at every read."""
        self._own_crs: pyproj.CRS = self.index.crs
        self._epsg = self._own_crs.to_epsg() or 0
        self._crs_text = f'EPSG:{self._epsg}' if self._epsg else self._own_crs.to_wkt()
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
    def scenes(self) -> SceneList:
        """All scenes, in the order of the column ``scene_id`` of the index."""
        return SceneList(self._table, self.layers)

    @property
    def scene_names(self) -> list[str]:
        """Names of all scenes, at the positions that samples state under ``scene``."""
        return self.scenes.names

    @cached_property
    def _scene_ids(self) -> dict[str, int]:
        """Position of each scene by name."""
        return {name: i for i, name in enumerate(self.scene_names)}

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
            (int64 (1,); 0 where the CRS has no code); ``nominal`` (bool (1,)) where the place is
            known from the name of the scene only.

        Raises:
            IndexError: if no scene lies at *index*.
            SceneError: if a file is missing or broken or holds an unknown label code.
        """
        x, y, t = index if isinstance(index, SceneSlice) else self._disambiguate_slice(index)
        ids = self._find(index, x, y, t)
        scenes = [self.scenes[i] for i in ids]
        height, width = round((y.stop - y.start) / y.step), round((x.stop - x.start) / x.step)
        target = Target(x, y, height, width, self._crs_text)
        sample: Sample = {**georeference(x, y, t, self._own_crs)}
        sample['scene'] = torch.tensor([ids[0]])
        sample['epsg'] = torch.tensor([self._epsg])
        if self.nominal_places:
            sample['nominal'] = torch.tensor([any(scene.nominal for scene in scenes)])
        for key in self.modalities:
            sample[key] = self._reader.read(key, scenes, target)
        return self.transforms(sample) if self.transforms is not None else sample

    def __getstate__(self) -> dict[str, Any]:
        """State for another process: lists of scenes are made anew from the compact table."""
        state = dict(self.__dict__)
        for derived in ('scenes', '_scene_ids'):
            state.pop(derived, None)
        return state

    def _find(self, index: Index, x: slice, y: slice, t: slice) -> list[int]:
        """Positions of the scenes that a query touches, in the order of the index."""
        if isinstance(index, SceneSlice) and index.scene in self._scene_ids:
            return [self._scene_ids[index.scene]]
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

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.legend)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in order."""
        return [land_cover.name for land_cover in self.legend]

    def plot(self, sample: Sample, show_titles: bool = True, suptitle: str | None = None) -> Figure:
        """Plot a sample from the dataset.

        Args:
            sample: a sample returned by :meth:`__getitem__`, in stored units; ``prediction``
                (h, w) and ``reconstruction`` (C, H, W) are shown where present.
            show_titles: flag indicating whether to show titles above each panel.
            suptitle: optional string to use as a suptitle.

        Returns:
            a matplotlib Figure with the rendered sample.
        """
        red, green, blue = (self.all_bands.index(band) for band in self.rgb_bands)
        low, high = (side[0] for side in self.ranges['image_sar'])
        return plot_sample(
            sample, self.legend, (red, green, blue), (low, high), show_titles, suptitle
        )


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Refuse an argument that is none of its choices.

    Args:
        name: name of the argument.
        value: what was given.
        choices: what may be given.

    Raises:
        ValueError: if it is none of them.
    """
    if value not in choices:
        raise ValueError(f'{name}={value!r} is none of {list(choices)}.')
