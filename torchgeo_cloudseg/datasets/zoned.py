"""Scenes in many UTM zones, each read in its own CRS and on its own pixel grid."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import cached_property, reduce
from operator import or_
from pathlib import Path
from typing import Any, Self

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import torch
from matplotlib.figure import Figure
from torchgeo.datasets import GeoDataset, RasterDataset

from .footprints import project
from .index_store import IndexDir
from .query import SceneSlice
from .raster_index import datasets_by_crs

#: Equal-area CRS of the whole globe, in meters (EASE-Grid 2.0).
GLOBAL_CRS = 'EPSG:6933'


class ZonedDataset(GeoDataset):
    """Several data sets, one per CRS, indexed together and read apart.

    A query drawn by a sampler of this package carries its zone: it is answered by that zone's data
    set, in that zone's CRS, unwarped. A plain query ``[xmin:xmax, ymin:ymax]`` is in the CRS of
    the container and is answered by warping, as TorchGeo does.

    Works with any GeoDataset. :meth:`~.scene_dataset.SceneDataset.zoned` makes one of a whole
    data set of this package in one call, :meth:`from_files` of any RasterDataset.

    TorchGeo's own samplers look at the index in the CRS of the container, and so get warped
    samples; those that draw from the bounding box of all scenes hardly ever hit one where scenes
    lie far apart. Files of other data sets that lie across the antimeridian can be sampled, but
    not warped, which is beyond GDAL.
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
            whole: data set over all zones in *crs*, which answers plain queries (defaults to a
                union of copies of *datasets*, warped to *crs*).

        Raises:
            ValueError: if there is no data set.
        """
        if not datasets:
            raise ValueError('ZonedDataset needs at least one data set.')
        self.zone_datasets = list(datasets)
        self._given_whole = whole
        self.index = self._common_index(crs)
        self._res = self.zone_datasets[0].res if whole is None else whole.res
        counts = [len(getattr(dataset, 'scenes', dataset.index)) for dataset in datasets]
        self._first_scene = np.concatenate([[0], np.cumsum(counts)])

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

    def _common_index(self, crs: pyproj.CRS | str) -> gpd.GeoDataFrame:
        """Indices of all zones in one CRS."""
        parts = [dataset.index.assign(zone=i) for i, dataset in enumerate(self.zone_datasets)]
        whole = self._given_whole
        if whole is not None and whole.crs == crs and 'scene' in whole.index:
            # projected already, in another order
            table = pd.concat(
                [pd.DataFrame(part).drop(columns=part.geometry.name) for part in parts]
            )
            rows = pd.Index(whole.index['scene']).get_indexer(table['scene'])
            outlines = whole.index.geometry.to_numpy()[rows]
            return gpd.GeoDataFrame(table, geometry=outlines, crs=whole.crs)
        return pd.concat([part.set_geometry(project(part.geometry, crs)) for part in parts])

    @property
    def grid_step_px(self) -> int:
        """Pixels between the corners of the grid that all modalities share."""
        return int(getattr(self.zone_datasets[0], 'grid_step_px', 1))

    @property
    def scene_names(self) -> list[str]:
        """Names of all scenes, at the positions that samples state under ``scene``.

        Raises:
            AttributeError: if a zone's data set does not name its scenes.
        """
        zones: Sequence[Any] = self.zone_datasets
        return [name for dataset in zones for name in dataset.scene_names]

    @cached_property
    def whole(self) -> GeoDataset:
        """One data set over all zones, in the CRS of the container."""
        if self._given_whole is not None:
            return self._given_whole
        # with all within them: joined data sets pass their CRS on
        warped = [copy.deepcopy(dataset) for dataset in self.zone_datasets]
        for dataset in warped:
            outlines = project(dataset.index.geometry, self.crs)
            dataset.crs = self.crs
            # TorchGeo makes those across the antimeridian span the globe
            dataset.index = dataset.index.set_geometry(outlines)
            dataset.res = self.res
        whole: GeoDataset = reduce(or_, warped)
        return whole

    def footprints(self, crs: pyproj.CRS | str = 'EPSG:4326') -> gpd.GeoDataFrame:
        """Outlines of all scenes, for plotting and for choosing a region of interest.

        Args:
            crs: the CRS wanted.

        Returns:
            the index in that CRS; outlines across the antimeridian are in two parts.
        """
        return self._common_index(crs)

    def __getitem__(self, index: Any) -> dict[str, Any]:
        """Retrieve a sample.

        Args:
            index: a :class:`SceneSlice`, or ``[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax]`` in
                units of :attr:`crs`.

        Returns:
            the sample of the zone's data set; its ``scene`` counts through all zones.

        Raises:
            IndexError: If *index* is not found in the dataset.
        """
        if not isinstance(index, SceneSlice):
            return dict(self.whole[index])
        sample = dict(self.zone_datasets[index.zone][index])
        if 'scene' in sample:
            sample['scene'] = sample['scene'] + int(self._first_scene[index.zone])
        sample['zone'] = torch.tensor([index.zone])
        return sample

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
        dataset: Any = self.zone_datasets[zone]
        figure: Figure = dataset.plot(sample, *args, **kwargs)
        return figure
