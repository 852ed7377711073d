"""Checking a whole data set: every missing, broken or odd file of all splits in one pass."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..rasters import SceneError, read_window
from . import m3mcr_layout, whuoptsar_layout
from .index_store import IndexDir
from .layer import Layer
from .legend import code_lookup
from .m3mcr import M3MCR
from .m3mcr_files import scan_scenes
from .scene_cache import SceneCache, list_files, refresh_scene_table
from .scene_list import SceneList
from .scene_reader import Scene, no_data
from .whuoptsar import WHUOPTSAR

#: Data sets that can be checked.
Kind = Literal['m3mcr', 'whuoptsar']

#: Share of the training areas that counts as validation, as by default in the data sets.
VAL_SHARE = 0.1

#: Files read at the same time, for each processor.
THREADS_PER_CPU = 2


@dataclass(frozen=True)
class ValidationReport:
    """What there is of a data set, and what is wrong with it."""

    #: Root of the data set.
    root: str
    #: Which data set it is.
    dataset: Kind
    #: True where headers were trusted and no pixel was read.
    quick: bool
    #: Number of scenes that are sound.
    scenes: int
    #: Sound scenes by ``split``, ``zone`` and ``season``.
    counts: Mapping[str, Mapping[str, int]]
    #: One entry for each broken, missing or odd file.
    problems: Sequence[SceneError]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, object]:
        """The report in types that JSON has."""
        problems = [
            {'file': p.path, 'found': p.found, 'expected': p.expected, 'remedy': p.remedy}
            for p in self.problems
        ]
        return {
            'root': self.root,
            'dataset': self.dataset,
            'quick': self.quick,
            'ok': self.ok,
            'scenes': self.scenes,
            **{f'scenes_by_{name}': dict(count) for name, count in self.counts.items()},
            'problems': problems,
        }


class _Inventory(NamedTuple):
    """All sound scenes of a data set, and the problems of the others."""

    #: The table of scenes with the further columns ``split`` and ``season``.
    table: pd.DataFrame
    problems: list[SceneError]
    layers: Mapping[str, Layer]
    #: Class of each label code, negative for an unknown one.
    lookup: NDArray[np.int64]


def validate_scenes(
    root: str | Path,
    dataset: Kind | None = None,
    quick: bool = False,
    index_dir: IndexDir = None,
    progress: bool = True,
) -> ValidationReport:
    """Build the index of all splits of a data set and check every file.

    Args:
        root: root directory of the data set.
        dataset: which one it is (defaults to what the folders look like).
        quick: trust the headers; by default all pixels are read.
        index_dir: where the index is kept, as in the data sets.
        progress: show progress bars where there is much to read.

    Returns:
        what there is and what is wrong.

    Raises:
        ValueError: if there is no data set at *root*.
    """
    root = Path(root)
    kind = dataset or recognize(root)
    make = _inventory_m3mcr if kind == 'm3mcr' else _inventory_whuoptsar
    inventory = make(root, index_dir, progress)
    table, problems = inventory.table, list(inventory.problems)
    if table.empty and not problems:
        raise ValueError(f'{root}: found no scene of {kind}, expected its folders. Check the root.')
    if len(table):
        broken = _check_access(inventory) if quick else _check_all_pixels(inventory, progress)
        table = table[[not found for found in broken]]
        problems += [problem for found in broken for problem in found]
    counts = {
        name: {} if table.empty else table[column].value_counts().sort_index().to_dict()
        for name, column in (('split', 'split'), ('zone', 'crs'), ('season', 'season'))
    }
    return ValidationReport(str(root), kind, quick, len(table), counts, problems)


def recognize(root: Path) -> Kind:
    """Tell from its folders which data set there is.

    Args:
        root: root directory of a data set.

    Returns:
        its name.

    Raises:
        ValueError: if the folders are those of no data set known.
    """
    kinds = [f'{layer.folder}_*' for layer in m3mcr_layout.LAYERS.values()]
    folders = set(m3mcr_layout.FOLDERS.values())
    if any(any((root / folder).glob(pattern)) for folder in folders for pattern in kinds):
        return 'm3mcr'
    names = [name for group in whuoptsar_layout.FOLDERS.values() for name in group]
    if any((root / name).is_dir() for name in names):
        return 'whuoptsar'
    raise ValueError(
        f'{root}: found neither the folders of M3M-CR (train/planet_cloudfree_<season>, ...) nor '
        'those of WHU-OPT-SAR (optical, sar, lbl). Check the root.'
    )


def check_pixels(
    scene: Scene, layers: Mapping[str, Layer], lookup: NDArray[np.int64]
) -> list[SceneError]:
    """Read all pixels of a scene.

    Args:
        scene: the scene.
        layers: its modalities, by key.
        lookup: class of each label code, negative for an unknown one.

    Returns:
        one problem for each file that cannot be read to its end, holds unknown label codes,
        nothing but missing measurements, infinite ones, or nothing but no-data.
    """
    problems = []
    for key, path in scene.paths.items():
        height, width = scene.sizes[key]
        try:
            values = read_window(path, (0, height), (0, width), cache=False)
        except SceneError as error:
            problems.append(error)
            continue
        problem = _oddity(path, layers[key], values, lookup)
        if problem is not None:
            problems.append(problem)
    return problems


def _oddity(
    path: str, layer: Layer, values: NDArray[np.generic], lookup: NDArray[np.int64]
) -> SceneError | None:
    """What is wrong with the pixels of a file, if anything."""
    if layer.key == 'mask':
        codes = np.unique(values)
        unknown = codes[lookup[codes] < 0].tolist()
        if unknown:
            known = np.flatnonzero(lookup >= 0).tolist()
            return SceneError(path, f'label code(s) {unknown}', f'one of {known}')
        return None
    if layer.categorical:
        return None
    if values.dtype.kind == 'f':
        if np.isnan(values).all():
            return SceneError(path, 'NaN in every pixel', 'at least one measurement')
        if np.isinf(values).any():
            return SceneError(path, 'infinite values', 'measurements, or NaN where there is none')
        return None
    if layer.nodata is not None and (values == layer.nodata).all():
        return no_data(path, layer)
    return None


def _check_access(inventory: _Inventory) -> list[list[SceneError]]:
    """Files of each scene of an inventory that may not be read, which no header in the index tells.

    Rights can be taken away without a trace in a file's size and time of change.
    """
    effective = os.access in os.supports_effective_ids
    return [
        [
            SceneError(path, 'an unreadable file (Permission denied)', 'a readable file')
            for path in scene.paths.values()
            if not os.access(path, os.R_OK, effective_ids=effective)
        ]
        for scene in SceneList(inventory.table, inventory.layers)
    ]


def _check_all_pixels(inventory: _Inventory, progress: bool) -> list[list[SceneError]]:
    """Problems of each scene of an inventory, in its order."""
    scenes = SceneList(inventory.table, inventory.layers)
    with ThreadPoolExecutor(THREADS_PER_CPU * (os.cpu_count() or 1)) as pool:
        found = pool.map(
            lambda scene: check_pixels(scene, inventory.layers, inventory.lookup), scenes
        )
        return list(tqdm(found, 'Reading scenes', len(scenes), disable=not progress, delay=1))


def _inventory_m3mcr(root: Path, index_dir: IndexDir, progress: bool) -> _Inventory:
    layers = m3mcr_layout.LAYERS
    tables, problems = [], []
    for folder in sorted(set(m3mcr_layout.FOLDERS.values())):
        listing, missing = scan_scenes(root, folder, list(layers.values()))
        cache = SceneCache(str(root), f'm3mcr-{folder}', M3MCR.reference, index_dir)
        table, broken = refresh_scene_table(listing, layers, cache, layers, progress=progress)
        problems += [*missing, *broken]
        if table.empty:
            continue
        held_back = m3mcr_layout.split_areas(listing['area'], 'val', VAL_SHARE)
        training = np.where(table['area'].isin(held_back), 'val', 'train')
        tables.append(table.assign(split=training if folder == 'train' else folder))
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if len(table):
        table['season'] = table['area'].str.partition('_')[0]
    legend = m3mcr_layout.LEGENDS['level2']
    lookup = code_lookup(legend, m3mcr_layout.UNKNOWN_CODES, M3MCR.ignore_index)
    return _Inventory(table, problems, layers, lookup)


def _inventory_whuoptsar(root: Path, index_dir: IndexDir, progress: bool) -> _Inventory:
    layers = whuoptsar_layout.LAYERS
    sheets, problems = whuoptsar_layout.scan_sheets(root, list(layers.values()))
    cache = SceneCache(str(root), 'whuoptsar', WHUOPTSAR.reference, index_dir)
    table, broken = refresh_scene_table(
        list_files(list(sheets.values()), str(root)),
        layers,
        cache,
        layers,
        georeference=whuoptsar_layout.nominal_georeference,
        progress=progress,
    )
    if len(table):
        splits = {
            name: split
            for split in WHUOPTSAR.splits
            for name in whuoptsar_layout.split_sheets(table['scene'], split, VAL_SHARE)
        }
        table = table.assign(split=table['scene'].map(splits), season='any')
    lookup = code_lookup(
        whuoptsar_layout.LEGEND, whuoptsar_layout.UNKNOWN_CODES, WHUOPTSAR.ignore_index
    )
    return _Inventory(table, [*problems, *broken], layers, lookup)
