"""The table of scenes, kept as GeoParquet and brought up to date where files have changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from ..rasters import SceneError, ScenesError
from .footprints import project
from .index_store import IndexDir, IndexStore, absolute_path, file_state, relative_path
from .layer import Layer
from .scene_table import Georeference, SceneFiles, read_scenes

#: Version of the table's columns; tables of another one are made anew.
VERSION = 2

#: Columns of a listing, for each modality, that tell whether a file has changed.
_STATE = ('', '_size', '_mtime_ns')


@dataclass(frozen=True)
class SceneCache:
    """Where the table of some scenes is kept (see :class:`~.index_store.IndexStore`)."""

    #: Root of the data set.
    root: str
    #: What the scenes are, such as the split's folder.
    name: str
    #: Modality on whose grid the scenes lie.
    reference: str
    #: Where to keep the table.
    index_dir: IndexDir = None

    @property
    def store(self) -> IndexStore:
        """Where the tables of the data set are kept."""
        return IndexStore(self.root, self.index_dir)

    def file_name(self, layers: Mapping[str, Layer]) -> str:
        """Name of the file for some modalities; another one when their facts change."""
        facts = repr((VERSION, self.reference, sorted(layers.items())))
        digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
        return f'{self.name}-{digest}.parquet'

    def read(self, choices: Sequence[Mapping[str, Layer]]) -> gpd.GeoDataFrame | None:
        """Read the table.

        Args:
            choices: sets of modalities, the first one found is taken.

        Returns:
            the table, with paths relative to the root; None where there is no sound one.
        """
        for layers in choices:
            table = self.store.read(self.file_name(layers), _columns(layers), 'scene')
            if table is not None:
                return table
        return None

    def write(self, table: gpd.GeoDataFrame, layers: Mapping[str, Layer]) -> None:
        """Write the table to the first folder that takes it.

        Args:
            table: the table, with paths relative to the root.
            layers: its modalities.
        """
        self.store.write(self.file_name(layers), table)


def list_files(scenes: Sequence[SceneFiles], root: str) -> pd.DataFrame:
    """List scenes with the present state of their files.

    Args:
        scenes: the scenes.
        root: root of the data set.

    Returns:
        one row per scene: ``scene``, ``area``, ``mint``, ``maxt``, and for every modality its
        path relative to *root* under its key, ``<key>_size`` (bytes; -1 where there is no such
        file) and ``<key>_mtime_ns``.
    """
    columns: dict[str, object] = {
        'scene': [scene.scene for scene in scenes],
        'area': [scene.area for scene in scenes],
        'mint': [scene.mint for scene in scenes],
        'maxt': [scene.maxt for scene in scenes],
    }
    for key in scenes[0].paths if scenes else ():
        paths = [scene.paths[key] for scene in scenes]
        states = np.array([file_state(path) for path in paths], np.int64)
        columns[key] = [relative_path(path, root) for path in paths]
        columns[f'{key}_size'], columns[f'{key}_mtime_ns'] = states.T
    return pd.DataFrame(columns)


def refresh_scene_table(
    listing: pd.DataFrame,
    layers: Mapping[str, Layer],
    cache: SceneCache,
    all_layers: Mapping[str, Layer],
    georeference: Georeference | None = None,
    partial: bool = False,
    progress: bool = True,
) -> tuple[pd.DataFrame, list[SceneError]]:
    """The table of the scenes that are sound, and what is wrong with the others.

    Only the headers of scenes that are new, or of which a file has changed in size or time, are
    read.

    Args:
        listing: the scenes and the state of their files, see :func:`list_files`.
        layers: the modalities that every scene must have, by key.
        cache: where the table is kept.
        all_layers: all modalities of the data set; a table with all of them serves as well.
        georeference: gives files that say nothing of their place a nominal one.
        partial: True where the listing does not name all scenes there are: others stay in the
            cache.
        progress: show a progress bar where many headers are to be read.

    Returns:
        the table of :func:`~.scene_table.build_scene_table`, in the order of the listing, and the
        problems.
    """
    known = cache.read([layers, all_layers])
    fresh, position = _compare(listing, known, layers)
    parts: list[gpd.GeoDataFrame] = []
    outdated = known is None or not fresh.all()
    if known is not None:
        known = known[_columns(layers)]
        kept = np.sort(position[fresh])
        if partial:
            kept = np.flatnonzero(~known['scene'].isin(listing['scene'][~fresh]))
        outdated |= len(kept) < len(known)
        parts.append(known.iloc[kept].reset_index(drop=True) if outdated else known)
    problems: list[SceneError] = []
    if not fresh.all():
        stale = scene_files(listing[~fresh], layers, cache.root)
        rows, problems = read_scenes(stale, layers, cache.reference, georeference, progress)
        if len(rows):
            parts.append(_located(rows, layers, cache.root))
    if not parts:
        return pd.DataFrame(), problems
    table = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    if outdated:
        cache.write(table, layers)
    if len(table) != len(listing) or not np.array_equal(table['scene'], listing['scene']):
        found = pd.Index(table['scene']).get_indexer(listing['scene'])
        table = table.iloc[found[found >= 0]].reset_index(drop=True)
    result = pd.DataFrame(table.drop(columns='geometry'))
    for key in layers:
        within = ~result[key].str.startswith(os.sep)
        result[key] = result[key].where(~within, f'{cache.root}{os.sep}' + result[key])
    return result, problems


def load_scene_table(
    listing: pd.DataFrame,
    layers: Mapping[str, Layer],
    cache: SceneCache,
    all_layers: Mapping[str, Layer],
    georeference: Georeference | None = None,
    wanted: NDArray[np.bool_] | None = None,
    partial: bool = False,
) -> pd.DataFrame:
    """The table of scenes, all of which must be sound.

    Args:
        listing: the scenes and the state of their files, see :func:`list_files`.
        layers: the modalities that every scene must have, by key.
        cache: where the table is kept.
        all_layers: all modalities of the data set; a table with all of them serves as well.
        georeference: gives files that say nothing of their place a nominal one.
        wanted: scenes of the listing to return; the others are only brought up to date. By
            default all.
        partial: True where the listing does not name all scenes there are.

    Returns:
        the table of :func:`~.scene_table.build_scene_table`, in the order of the listing.

    Raises:
        ScenesError: if any file of the scenes wanted is missing, broken or does not fit.
    """
    table, problems = refresh_scene_table(listing, layers, cache, all_layers, georeference, partial)
    if wanted is None:
        wanted = np.ones(len(listing), bool)
    if problems:
        chosen = listing[wanted]
        paths = {absolute_path(path, cache.root) for key in layers for path in chosen[key]}
        problems = [problem for problem in problems if problem.path in paths]
        if problems:
            raise ScenesError(problems)
    if wanted.all():
        return table
    return table[table['scene'].isin(listing['scene'][wanted])].reset_index(drop=True)


def scene_files(listing: pd.DataFrame, layers: Mapping[str, Layer], root: str) -> list[SceneFiles]:
    """The files of each scene of a listing.

    Args:
        listing: scenes, see :func:`list_files`.
        layers: the modalities wanted.
        root: root of the data set.

    Returns:
        one entry per scene.
    """
    paths = [[absolute_path(path, root) for path in listing[key]] for key in layers]
    scenes = zip(listing['scene'], listing['area'], listing['mint'], listing['maxt'], strict=True)
    return [
        SceneFiles(scene, area, mint, maxt, dict(zip(layers, files, strict=True)))
        for (scene, area, mint, maxt), *files in zip(scenes, *paths, strict=True)
    ]


def _compare(
    listing: pd.DataFrame, known: pd.DataFrame | None, layers: Mapping[str, Layer]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which scenes of a listing are in a table as they are, and where in it they are."""
    if known is None or listing.empty:
        return np.zeros(len(listing), bool), np.full(len(listing), -1)
    if len(known) == len(listing) and np.array_equal(known['scene'], listing['scene']):
        position = np.arange(len(listing))
    else:
        position = pd.Index(known['scene']).get_indexer(listing['scene'])
    fresh = position >= 0
    for name in [f'{key}{state}' for key in layers for state in _STATE]:
        fresh &= known[name].to_numpy()[position] == listing[name].to_numpy()
    return fresh, position


def _located(rows: pd.DataFrame, layers: Mapping[str, Layer], root: str) -> gpd.GeoDataFrame | None:
    """Rows as they are kept: with relative paths, and outlines in degrees."""
    if rows.empty:
        return None
    rows = rows.copy()
    for key in layers:
        rows[key] = [relative_path(path, root) for path in rows[key]]
    right = rows['left'] + rows['xres'] * rows['width']
    bottom = rows['top'] - rows['yres'] * rows['height']
    boxes = gpd.GeoSeries(shapely.box(rows['left'], bottom, right, rows['top']))
    outlines = [
        project(boxes[rows['crs'] == crs].set_crs(crs), 'EPSG:4326') for crs in rows['crs'].unique()
    ]
    return gpd.GeoDataFrame(rows, geometry=pd.concat(outlines).sort_index(), crs='EPSG:4326')


def _columns(layers: Mapping[str, Layer]) -> list[str]:
    """Columns of a table in the cache."""
    grid = ('crs', 'left', 'top', 'xres', 'yres', 'height', 'width', 'nominal', 'geometry')
    files = (*_STATE, '_height', '_width')
    return [
        *('scene', 'area', 'mint', 'maxt', *grid),
        *(f'{key}{name}' for key in layers for name in files),
    ]
