"""Scenes in many UTM zones, each read in its own CRS and on its own pixel grid."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
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
from torchgeo.datasets import GeoDataset, RasterDataset

from ..index import IndexDir, datasets_by_crs, project
from .joins import Joinable, ask, ask_all, count_scenes
from .lookup import LookupCRS
from .merging import fills_of, merge
from .query import SceneSlice, crs_text, same_crs
from .scene_spec import SceneSpec

#: Equal-area CRS of the whole globe, in meters (EASE-Grid 2.0).
GLOBAL_CRS = 'EPSG:6933'

#: Columns of the common index beside those of the parts: the part, and the row's outline in the
#: CRS of that part.
ZONE, NATIVE = 'zone', 'native'


class ZonedDataset(LookupCRS):
    """Several data sets, one per CRS, indexed together and read apart.

    There is one index, :attr:`index`, in one CRS for looking up; each row also has its outline in
    the CRS of its files (column ``native``). Whoever filters, splits or clips that index has
    changed the data set: samplers and queries see what is left of it.

    A query drawn by a sampler of this package carries its zone and CRS: it is answered by that
    zone's data set, in that zone's CRS, unwarped. A plain query ``[xmin:xmax, ymin:ymax]`` is in
    the CRS of the container and is answered by warping, as TorchGeo does.

    Joined with other data sets (``zoned & labels``, ``zoned | zoned``), it is a container again:
    images stay unwarped, and what they are joined with is brought to the CRS of each zone. On the
    right side (``labels & zoned``), the CRS of the left side counts.

    Works with any GeoDataset. :meth:`~.scene_dataset.SceneDataset.zoned` makes one of a whole
    data set of this package in one call, :meth:`from_files` of any RasterDataset.

    TorchGeo's own samplers look at the index in the CRS of the container, and so get warped
    samples; those that draw from the bounding box of all scenes hardly ever hit one where scenes
    lie far apart. Files of other data sets that lie across the antimeridian can be sampled, but
    not warped, which is beyond GDAL.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> dataset = M3MCR.zoned(root, split='train')
        >>> len(dataset), dataset.index.crs.to_epsg()
        (1, 6933)
    """

    def __init__(
        self,
        datasets: Sequence[GeoDataset],
        crs: pyproj.CRS | str = GLOBAL_CRS,
        whole: GeoDataset | None = None,
    ) -> None:
        """Initialize a new ZonedDataset instance.

        Args:
            datasets: data sets of the same kind, each in a CRS of its own.
            crs: CRS of the common index, for looking up only.
            whole: data set over all zones, which answers plain queries in *crs*; *datasets* are
                parts of it, and count their scenes as it does (defaults to a union of copies of
                *datasets*, warped to *crs*).

        Raises:
            ValueError: if there is no data set.
        """
        if not datasets:
            raise ValueError('ZonedDataset needs at least one data set.')
        self._parts: list[Any] = list(datasets)
        self._whole = whole
        self._res = datasets[0].res if whole is None else whole.res
        tables = []
        for zone, part in enumerate(datasets):
            native = gpd.GeoSeries(part.index.geometry.to_numpy(), index=part.index.index)
            table = part.index.assign(**{ZONE: zone, NATIVE: native.array})
            tables.append(table.set_geometry(project(part.index.geometry, crs)))
        self.index = pd.concat(tables)
        self._crs_of_parts = [crs_text(part.crs) for part in datasets]
        #: What is added to the scenes of each part: parts of one data set count as that does.
        self._first_scene = count_scenes(datasets)
        #: What follows from the index, with the one that it was made of.
        self._zones: tuple[gpd.GeoDataFrame, list[GeoDataset]] | None = None
        self._warped: tuple[gpd.GeoDataFrame, tuple[float, float], list[GeoDataset]] | None = None

    @classmethod
    def from_files(
        cls,
        kind: type[RasterDataset],
        paths: str | Path | Iterable[str | Path],
        crs: pyproj.CRS | str = GLOBAL_CRS,
        index_dir: IndexDir = None,
        **kwargs: Any,
    ) -> Self:
        """All files of any RasterDataset, however many CRS they are in, from a cached index.

        Args:
            kind: the class, whose first argument is ``paths``.
            paths: one or more root directories to search or files to load.
            crs: CRS of the common index; nothing is warped to it unless asked for.
            index_dir: folder in which the index of the files is kept between runs; False to make
                it anew each time. Defaults to the folder that the environment variable
                ``CLOUDSEG_CACHE`` names, else ``.cloudseg`` beside the files, or the user's cache
                folder where that cannot be written to.
            **kwargs: further arguments of *kind*.

        Returns:
            a container that the samplers of this package draw from.

        Raises:
            DatasetNotFoundError: If there is no file.
            ScenesError: If files cannot be opened; all of them are named.
        """
        return cls(datasets_by_crs(kind, paths, index_dir, **kwargs), crs)

    @property
    def grid_step_px(self) -> int:
        """Pixels between the corners of the grid that all modalities share."""
        return int(getattr(self._parts[0], 'grid_step_px', 1))

    @property
    def scene_names(self) -> list[str]:
        """Names of all scenes, at the positions that samples state under ``scene``.

        Raises:
            AttributeError: if a zone's data set does not name its scenes.
        """
        first = self._first_scene
        starts = sorted(set(first))
        return [name for start in starts for name in self._parts[first.index(start)].scene_names]

    @property
    def files(self) -> list[str]:
        """All files of all zones.

        Raises:
            AttributeError: if a zone's data set does not list its files.
        """
        parts: list[Any] = self.zone_datasets
        return sorted({file for part in parts for file in part.files})

    @property
    def zone_datasets(self) -> list[GeoDataset]:
        """One data set per CRS, with the rows of :attr:`index` that lie in it."""
        if self._zones is None or self._zones[0] is not self.index:
            self._zones = self.index, [self._part(zone) for zone in range(len(self._parts))]
        return self._zones[1]

    def _in_common_crs(self) -> list[GeoDataset]:
        """Data sets that answer in the CRS of the container: one over all zones, or one of each."""
        known = self._warped
        if known is None or known[0] is not self.index or known[1] != self.res:
            known = self._warped = self.index, self.res, self._warp()
        return known[2]

    def __getstate__(self) -> dict[str, Any]:
        """State for another process: what follows from the index is made anew."""
        return self.__dict__ | {'_zones': None, '_warped': None}

    def _part(self, zone: int) -> GeoDataset:
        """The data set of a zone, with those rows that the index has."""
        part: GeoDataset = self._parts[zone]
        rows = self.index[(self.index[ZONE] == zone).to_numpy()]
        native = gpd.GeoSeries(rows[NATIVE].to_numpy(), index=rows.index, crs=part.crs)
        projected = project(native, self.crs).to_numpy()
        whole = shapely.equals_exact(projected, rows.geometry.to_numpy())
        if not whole.all():  # somebody has clipped the index
            clipped = project(rows.geometry[~whole], part.crs).to_numpy()
            outlines: NDArray[np.object_] = native.to_numpy().copy()
            outlines[~whole] = shapely.intersection(outlines[~whole], clipped)
            native = gpd.GeoSeries(outlines, index=rows.index, crs=part.crs)
        view = copy.copy(part)
        view.index = rows.drop(columns=[ZONE, NATIVE]).set_geometry(native)
        return view

    def _warp(self) -> list[GeoDataset]:
        if self._whole is not None:
            whole = copy.copy(self._whole)
            whole.index = self.index.drop(columns=[ZONE, NATIVE])
            whole.res = self.res
            return [whole]
        # with all within them: joined data sets pass their CRS on
        warped: list[GeoDataset] = [copy.deepcopy(part) for part in self.zone_datasets]
        for part in warped:
            if part.index.empty:
                continue
            outlines = project(part.index.geometry, self.crs)
            part.crs = self.crs
            # TorchGeo makes those across the antimeridian span the globe
            part.index = part.index.set_geometry(outlines)
            part.res = self.res
        return warped

    def footprints(self, crs: pyproj.CRS | str = 'EPSG:4326') -> gpd.GeoDataFrame:
        """Outlines of all scenes, for plotting and for choosing a region of interest.

        Args:
            crs: the CRS wanted.

        Returns:
            the index in that CRS; outlines across the antimeridian are in two parts.
        """
        table = self.index.drop(columns=NATIVE)
        outlines = np.empty(len(table), dtype=object)
        for zone, part in enumerate(self.zone_datasets):
            rows = (table[ZONE] == zone).to_numpy()
            outlines[rows] = project(part.index.geometry, crs).to_numpy()
        return table.set_geometry(gpd.GeoSeries(outlines, index=table.index, crs=crs))

    def scene_spec(self, window: int = 160) -> SceneSpec:
        """The facts that a network trained on these data sets, and its maps, need.

        Args:
            window: side of the training patches in pixels.

        Returns:
            the facts, as the first data set states them.

        Raises:
            AttributeError: if the data sets do not state any.
        """
        spec: SceneSpec = self._parts[0].scene_spec(window)
        return spec

    def __and__(self, other: GeoDataset) -> Any:
        """The ground that lies in both data sets, zone by zone.

        Args:
            other: another data set; a copy of it is brought to the CRS of each zone.

        Returns:
            a container of joins, which does not warp the scenes of this one.

        Raises:
            RuntimeError: if the data sets have nothing in common.
            ValueError: if both have the same mask.
        """
        joins, reason = [], RuntimeError('Datasets have no spatial intersection')
        for part in self.zone_datasets:
            try:
                joins.append(part & copy.deepcopy(other) if len(part.index) else None)
            except RuntimeError as error:  # how TorchGeo says that there is nothing in common
                reason = error
        found = [join for join in joins if join is not None]
        if not found:
            raise reason
        return ZonedDataset(found, self.crs)

    def __or__(self, other: Any) -> Any:
        """The ground that lies in any of the data sets.

        Args:
            other: another data set, or a container of several.

        Returns:
            a container of the data sets of both, which does not warp any of them.
        """
        if not isinstance(other, GeoDataset):
            return super().__or__(other)  # says what is wrong
        parts = getattr(other, 'zone_datasets', None) or [other]
        return ZonedDataset([*self.zone_datasets, *parts], self.crs)

    def knows(self, query: SceneSlice) -> bool:
        """Whether the scene that a query names is one of any zone."""
        return any(isinstance(part, Joinable) and part.knows(query) for part in self.zone_datasets)

    def __getitem__(self, index: Any) -> dict[str, Any]:
        """Retrieve a sample.

        Args:
            index: a :class:`SceneSlice`, or ``[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax]`` in
                units of :attr:`crs`.

        Returns:
            the sample of the zone's data set; its ``scene`` counts through all zones.

        Raises:
            IndexError: If *index* is not found in the dataset.
            ValueError: If it is in a CRS that no data set understands.
        """
        zone = self._zone_of(index) if isinstance(index, SceneSlice) else None
        if zone is not None:
            sample = dict(ask(self.zone_datasets[zone], index))
            if 'scene' in sample:
                sample['scene'] = sample['scene'] + self._first_scene[zone]
        elif self._whole is not None:
            (whole,) = self._in_common_crs()
            sample = dict(ask(whole, index))
            scene = self.index['scene_id'].to_numpy() == int(sample['scene'])
            zone = int(self.index[ZONE].to_numpy()[scene.argmax()])
        else:
            found = ask_all(self._in_common_crs(), self._first_scene, index)
            zone = found[0][0]
            sample = merge([sample for _, sample in found], fills_of(self))
        sample['zone'] = torch.tensor([zone])
        return sample

    def _zone_of(self, query: SceneSlice) -> int | None:
        """The zone that a query was drawn from; None where it is another container's."""
        parts = self.zone_datasets
        names = self._crs_of_parts
        zones: list[int] = [query.zone, *range(len(parts))]
        for zone in zones:
            if zone >= len(parts) or not (query.crs is None or same_crs(query.crs, names[zone])):
                continue
            part = parts[zone]
            if query.scene is None or not isinstance(part, Joinable) or part.knows(query):
                return zone
        return None

    def plot(self, sample: dict[str, Any], *args: Any, **kwargs: Any) -> Figure:
        """Plot a sample as its zone's data set does.

        Args:
            sample: a sample returned by :meth:`__getitem__`.
            *args: arguments of that data set's ``plot``.
            **kwargs: keyword arguments of that data set's ``plot``.

        Returns:
            a matplotlib Figure.
        """
        zone = int(sample['zone']) if 'zone' in sample else 0
        figure: Figure = self._parts[zone].plot(sample, *args, **kwargs)
        return figure
