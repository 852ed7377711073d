"""Raster data sets whose samples join several co-registered modalities of one scene."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torchgeo.datasets import DatasetNotFoundError, RasterDataset

from .._compat import georeference
from ..index import IndexDir, Layer, project_each
from ..rasters import Grid, SceneError, ScenesError
from .lookup import SceneLookup, resolution_after, same_unit
from .query import SceneSlice
from .rendering import plot_sample
from .scene_declaration import SceneDeclaration, choose_bands, code_tables
from .scene_reader import SceneList, SceneReader
from .scene_scan import read_split
from .zoned import GLOBAL_CRS, ZonedDataset

Sample = dict[str, Any]
Index = tuple[slice, slice, slice] | tuple[slice, slice] | tuple[slice] | slice


class SceneDataset(SceneDeclaration, SceneLookup, RasterDataset):
    """Abstract base of data sets made of scenes with several modalities on one grid.

    A data set is a declaration. A subclass states its facts as class attributes, at least
    :attr:`layers`, :attr:`ranges` and, where there are labels, :attr:`legend`; and it says in
    :meth:`scan` which files make a scene, unless its layout is ``<root>/<split>/<folder>/`` with
    files of the same name in the folder of each layer. With a :attr:`name`, it is known to
    ``cloudseg index``, ``plot`` and ``convert``::

        class Fields(SceneDataset):
            name, title, layout = 'fields', 'Fields', 'train/s2, train/s1, train/crops'
            layers = by_key(
                Layer('image', 's2', ('B02', 'B03', 'B04', 'B08'), ('uint16',), nodata=0),
                Layer('image_sar', 's1', ('VV', 'VH'), ('float32',), may_be_nan=True),
                Layer('mask', 'crops', ('class',), ('uint8',), categorical=True),
            )
            legend = (
                LandCoverClass('wheat', (1,), (220, 190, 60)),
                LandCoverClass('maize', (2,), (90, 160, 50)),
            )
            rgb_bands = ('B04', 'B03', 'B02')
            ranges = {
                'image': ((0.0,), (10000.0,)),
                'image_sar': ((-25.0, -32.5), (0.0, 0.0)),
            }

    Where the query's CRS and resolution are the scene's own, pixels are copied as stored: no
    warping and no interpolation, each modality read on its own grid. Otherwise, because a *crs* or
    *res* was asked for, images are resampled bilinearly, labels and masks by nearest neighbor.
    """

    def __init__(
        self,
        root: str | Path = 'data',
        split: str = 'train',
        crs: pyproj.CRS | str | None = None,
        res: float | tuple[float, float] | None = None,
        modalities: Sequence[str] | None = None,
        file_list: str | Path | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        cache: bool = True,
        val_share: float = 0.1,
        zone: str | int | None = None,
        index_dir: IndexDir = None,
        bands: Sequence[str] | None = None,
    ) -> None:
        """Initialize a new SceneDataset instance.

        Args:
            root: root directory where the dataset can be found.
            split: one of the splits, such as 'train', 'val' or 'test'.
            crs: :term:`coordinate reference system (CRS)` to warp to (defaults to the CRS of the
                files, which must then all be the same).
            res: resolution of the dataset in units of CRS (defaults to that of the files, or what
                becomes of it in the unit of *crs*).
            modalities: keys to read; nothing is spent on the others (defaults to all).
            file_list: list of the scenes to take, instead of all scenes of the split: a text file
                with a name on every line, unless the data set has a format of its own.
            transforms: a function/transform that takes an input sample and returns a transformed
                version.
            cache: if True, keep file handles open to speed up repeated sampling.
            val_share: share of the training areas that is set aside for validation where there
                is no *file_list*; whole areas, always the same ones.
            zone: EPSG code; scenes in another CRS are left out.
            index_dir: folder in which the index of the scenes is kept between runs; False to make
                it anew each time. Defaults to the folder that the environment variable
                ``CLOUDSEG_CACHE`` names, else ``<root>/.cloudseg``, or the user's cache folder
                where that cannot be written to.
            bands: names of the optical bands to return, in this order (defaults to all of them).

        Raises:
            DatasetNotFoundError: If dataset is not found.
            EmptySplitError: If there is another split, but no scene in this one.
            FileNotFoundError: If there is no such *file_list*.
            ScenesError: If files are missing, unreadable or hold something else than expected.
            ValueError: If an argument is not one of its choices, or scenes lie in several zones
                and neither *crs* nor *zone* is given.
        """
        check_choice('split', split, self.splits)
        modalities = tuple(self.layers) if modalities is None else tuple(modalities)
        for modality in modalities:
            check_choice('modalities', modality, self.layers)
        if not modalities:
            raise ValueError(f'modalities is empty; choose from {list(self.layers)}.')
        self.root = self.paths = root
        self.split = split
        self.modalities = modalities
        self.file_list = file_list
        self.val_share = val_share
        self.index_dir = index_dir
        self.bands = self.all_bands if bands is None else tuple(bands)
        for band in self.bands:
            check_choice('bands', band, self.all_bands)
        self.transforms = transforms
        self.cache = cache
        # the grid of a scene is that of its reference, whether or not that is asked for
        keys = [key for key in self.layers if key in (*modalities, self.reference)]
        layers = {key: self.layers[key] for key in keys}
        table, problems = self.read_scenes(layers)
        if problems:
            raise ScenesError(problems)
        if table.empty:
            raise DatasetNotFoundError(self)
        if zone is not None:
            text = f'EPSG:{zone}' if str(zone).isdigit() else str(zone)
            check_choice('zone', text, sorted(table['crs'].unique()))
            table = table[table['crs'] == text].reset_index(drop=True)
        zones = table['crs'].value_counts()
        if crs is None and len(zones) > 1:
            listed = ', '.join(f'{zone} ({count} scenes)' for zone, count in zones.items())
            raise ValueError(
                f'The scenes of {self.__class__.__name__} lie in several zones: {listed}. A '
                'RasterDataset has one CRS, and warping across zones would resample reflectance '
                'and labels. Pass `crs=` to warp on purpose, `zone=` to take one zone, or use '
                f'{self.__class__.__name__}.zoned(...) to read every scene on its own grid.'
            )
        # zone by zone, as a container counts scenes
        table = table.sort_values('crs', kind='stable')
        self._table = table.set_axis(pd.Index(table['scene'], name='name'))
        self._names = table['scene'].to_list()
        if bands is not None:
            # files stay what they are: it is the same table, whichever bands are read
            self.layers, self.ranges = choose_bands(self, self.bands)
        codes = code_tables(self)
        self._reader = SceneReader(
            self.layers, self.label_ratio, codes, self.fill_values, self.cache
        )
        target = pyproj.CRS.from_user_input(crs if crs is not None else zones.index[0])
        sides = [] if res is None else np.ravel(res).astype(float).tolist()
        if res is not None and (len(sides) not in (1, 2) or not min(sides) > 0):
            raise ValueError(
                f'res={res!r}: expected one positive number, or two: width and height of a '
                f'pixel in units of {target.to_string()}.'
            )
        self._wanted_res = (sides[0], sides[-1]) if sides else None
        self.index = self._outlined(np.arange(len(self._table)), target)
        self._res = self._resolution()

    def read_scenes(self, layers: Mapping[str, Layer]) -> tuple[pd.DataFrame, list[SceneError]]:
        """The sound scenes of the split; to be replaced where no class states the layout.

        Args:
            layers: the modalities that every scene must have, by key.

        Returns:
            the table, see :func:`~torchgeo_cloudseg.index.read_scene_table`, and what is wrong
            with other scenes.
        """
        where = (type(self), Path(self.root), self.split, layers)
        return read_split(*where, self.file_list, self.val_share, self.index_dir)

    def _outlined(self, ids: NDArray[np.intp], crs: pyproj.CRS | str) -> gpd.GeoDataFrame:
        """Index of some scenes of the table in one CRS."""
        table = self._table.iloc[ids]
        time = pd.IntervalIndex.from_arrays(
            table['mint'], table['maxt'], closed='both', name='datetime'
        )
        names = ('scene', 'area', 'left', 'top', 'xres', 'yres')
        columns = {name: table[name].to_numpy() for name in names}
        columns['native_crs'] = table['crs'].to_numpy()
        # as arrays: geometries made of columns take several times as long
        right = columns['left'] + columns['xres'] * table['width'].to_numpy()
        bottom = columns['top'] - columns['yres'] * table['height'].to_numpy()
        boxes = shapely.box(columns['left'], bottom, right, columns['top'])
        outlines = project_each(boxes, table['crs'].to_numpy(), crs)
        columns = {'filepath': table[self.reference].to_numpy(), 'scene_id': ids, **columns}
        return gpd.GeoDataFrame(columns, index=time, geometry=outlines, crs=crs)

    def _resolution(self) -> tuple[float, float]:
        """Resolution asked for, else that of the first scene, in the unit of the CRS."""
        first = self._table.iloc[[self.index['scene_id'].iloc[0]]]
        own = pyproj.CRS.from_user_input(first['crs'].iloc[0])
        res = float(first['xres'].iloc[0]), float(first['yres'].iloc[0])
        if same_unit(own, self.crs):
            return self._wanted_res or res
        before = self._outlined(self.index['scene_id'].to_numpy()[:1], own).geometry
        return self._wanted_res or resolution_after(res, before, self.index.geometry.iloc[:1])

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

    @classmethod
    def on_own_grids(
        cls, *args: Any, crs: pyproj.CRS | str | None = None, **kwargs: Any
    ) -> Self | ZonedDataset:
        """The whole data set, each scene on its own grid unless a CRS is asked for.

        Args:
            *args: arguments of the data set.
            crs: CRS to warp to (defaults to that of each scene).
            **kwargs: keyword arguments of the data set.

        Returns:
            the data set in *crs*, or a container of all zones.
        """
        if crs is None:
            return cls.zoned(*args, **kwargs)
        # spelled so that a command line can follow it to the arguments of the data set
        return cls(*args, crs=crs, **kwargs)  # type: ignore[misc]

    def by_zone(self) -> list[Self]:
        """One data set per CRS in which there are scenes, none of them warped.

        Returns:
            data sets that share everything but the index with this one.
        """
        ids = self.index['scene_id'].to_numpy()
        zones = self._table['crs'].to_numpy()[ids]
        parts = []
        for zone in sorted(set(zones)):
            part = copy.copy(self)
            part.index = self._outlined(ids[zones == zone], zone)
            if not same_unit(part.crs, self.crs):  # what was asked for is in the other unit
                part._wanted_res = None
            part._res = part._resolution()
            parts.append(part)
        return parts

    @cached_property
    def scenes(self) -> SceneList:
        """All scenes, in the order of the column ``scene_id`` of the index."""
        return SceneList(self._table, self.layers)

    @property
    def scene_names(self) -> list[str]:
        """Names of all scenes, at the positions that samples state under ``scene``."""
        names: list[str] = self._names
        return names

    @property
    def files(self) -> list[str]:
        """All files of the scenes and modalities in use."""
        table = self._table.iloc[self.index['scene_id'].to_numpy()]
        return sorted(path for key in self.modalities for path in table[key])

    def __getitem__(self, index: Index) -> Sample:
        """Retrieve all modalities at a place and time.

        Args:
            index: ``[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax]`` in units of :attr:`crs`, or a
                :class:`SceneSlice` drawn by a sampler of this package, in any CRS.

        Returns:
            the modalities asked for (see :attr:`layers`), ``bounds``, ``transform`` (and ``crs``
            in TorchGeo 0.8), ``scene`` (int64 (1,), position in :attr:`scenes`) and ``epsg``
            (int64 (1,); 0 where the CRS has no code); ``nominal`` (bool (1,)) where the place is
            known from the name of the scene only.

        Raises:
            IndexError: if no scene lies at *index*.
            SceneError: if a file is missing or broken or holds an unknown label code.
        """
        if not isinstance(index, SceneSlice):
            index = SceneSlice(self._disambiguate_slice(index))
        x, y, t = index
        crs, text, epsg = _described(index.crs or self._lookup().crs)
        height, width = (
            round((side.stop - side.start) / side.step) if side.step > 0 else 0 for side in (y, x)
        )
        if height < 1 or width < 1:
            raise ValueError(
                f'The query {index} is {height} x {width} pixels of {(x.step, y.step)}: expected '
                f'one at least. Coordinates and resolution are in units of {text}.'
            )
        ids = self._find(index)
        scenes = [self.scenes[i] for i in ids]
        target = Grid.north_up(text, (x.start, y.stop), (x.step, y.step), (height, width))
        sample: Sample = {**georeference(x, y, t, crs)}
        sample['scene'] = torch.tensor([ids[0]])
        sample['epsg'] = torch.tensor([epsg])
        if self.nominal_places:
            sample['nominal'] = torch.tensor([any(scene.nominal for scene in scenes)])
        for key in self.modalities:
            sample[key] = self._reader.read(key, scenes, target)
        sample = self.complete(sample)
        return self.transforms(sample) if self.transforms is not None else sample

    def complete(self, sample: Sample) -> Sample:
        """What a data set does to samples itself, where one modality tells about another.

        Args:
            sample: the modalities asked for, in stored units, and metadata; may be changed.

        Returns:
            the sample.
        """
        return sample

    def __getstate__(self) -> dict[str, Any]:
        """State for another process: what follows from the tables is made anew."""
        made = ('scenes', '_known')
        return {name: value for name, value in self.__dict__.items() if name not in made}

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
        low, high = (side[0] for side in self.ranges.get('image_sar', ((0.0,), (1.0,))))
        return plot_sample(sample, self.legend, self.rgb, (low, high), show_titles, suptitle)


@lru_cache
def _described(crs: str) -> tuple[pyproj.CRS, str, int]:
    """A coordinate reference system, its text, and its EPSG code, or 0."""
    known = pyproj.CRS.from_user_input(crs)
    epsg = known.to_epsg() or 0
    return known, f'EPSG:{epsg}' if epsg else known.to_wkt(), epsg


def check_choice(name: str, value: Any, choices: Collection[Any]) -> None:
    """Refuse an argument that is not one of its choices.

    Args:
        name: name of the argument.
        value: what was given.
        choices: what may be given.

    Raises:
        ValueError: if it is not one of them.
    """
    if value not in choices:
        raise ValueError(f'{name}={value!r} must be one of {list(choices)}.')
