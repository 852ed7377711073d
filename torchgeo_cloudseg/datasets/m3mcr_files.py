"""Finding the files of M3M-CR: by its layout of folders, or by a list in the authors' format."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..rasters import SceneError, ScenesError, unreadable_folder
from .layer import Layer
from .m3mcr_layout import LAYERS, LIST_COLUMNS, SEASONS
from .scene_cache import list_files
from .scene_table import SceneFiles

#: From the beginning of a day to its end.
_LAST_MOMENT = np.timedelta64(86_400_000_000 - 1, 'us')

#: Folders looked through at the same time, which hides the latency of network disks.
_SCAN_THREADS = 2


class _NoState(NamedTuple):
    """State of a file that cannot be reached."""

    st_size: int = -1
    st_mtime_ns: int = -1


class _Folder(NamedTuple):
    """Files of a modality in one area, in the order of the patches."""

    #: Folder, as seen from the root of the data set.
    path: str
    #: Number of each patch, as in the file's name.
    patches: list[str]
    #: State of each file; -1 for a link to nowhere.
    sizes: list[int]
    mtimes_ns: list[int]
    #: Names that do not follow the layout.
    strays: list[str]


_EMPTY = _Folder('', [], [], [], [])


class _Area(NamedTuple):
    """Patches of an area that have all modalities, and where their files are."""

    name: str
    patches: list[str]
    folders: Mapping[str, _Folder]


def find_scenes(root: Path, folder: str, layers: Sequence[Layer]) -> pd.DataFrame:
    """Find all scenes of a split's folder.

    Args:
        root: folder of the data set.
        folder: folder of the split.
        layers: the modalities that every scene must have.

    Returns:
        the scenes with the state of their files, as of :func:`~.scene_cache.list_files`, sorted
        by season, area and patch number.

    Raises:
        ScenesError: if a scene lacks a modality, or a file's name does not follow the layout.
    """
    listing, problems = scan_scenes(root, folder, layers)
    if problems:
        raise ScenesError(problems)
    return listing


def scan_scenes(
    root: Path, folder: str, layers: Sequence[Layer]
) -> tuple[pd.DataFrame, list[SceneError]]:
    """Find all scenes of a split's folder, and go on where files are missing.

    Args:
        root: folder of the data set.
        folder: folder of the split.
        layers: the modalities that every scene must have.

    Returns:
        the scenes that are complete, as of :func:`find_scenes`, and what is wrong with the others.
    """
    problems: list[SceneError] = []
    areas: list[_Area] = []
    folders = {layer.key: _area_folders(str(root), folder, layer, problems) for layer in layers}
    problems = list({problem.path: problem for problem in problems}.values())
    names = sorted(set(chain.from_iterable(folders.values())))
    closed = frozenset(str(Path(problem.path)) for problem in problems)
    scan = partial(_scan_area, str(root), folder, layers, folders, closed)
    with ThreadPoolExecutor(_SCAN_THREADS) as pool:
        for area, broken in tqdm(pool.map(scan, names), 'Looking for scenes', len(names), delay=2):
            areas.append(area)
            problems += broken
    return _listing(areas, layers), problems


def _scan_area(
    root: str,
    split: str,
    layers: Sequence[Layer],
    folders: Mapping[str, Mapping[str, str]],
    closed: frozenset[str],
    name: str,
) -> tuple[_Area, list[SceneError]]:
    """Files of all modalities in one area, and those that are missing or misnamed.

    Args:
        root: folder of the data set.
        split: folder of the split.
        layers: the modalities.
        folders: folder of each area by modality.
        closed: folders that cannot be read, of which it is not known what they hold.
        name: the area.

    Returns:
        the patches that have all modalities, and the problems of the others.
    """
    problems: list[SceneError] = []
    found: dict[str, _Folder] = {}
    for layer in layers:
        path = folders[layer.key].get(name)
        season = Path(root, split, f'{layer.folder}_{name.partition("_")[0]}')
        area_folder = season / f'{layer.folder}_{name}'
        if path is None and not closed.isdisjoint((str(season), str(area_folder))):
            return _Area(name, [], {}), problems
        try:
            found[layer.key] = _scan_folder(root, path, name, layer) if path else _EMPTY
        except OSError as error:
            problems.append(unreadable_folder(f'{root}{os.sep}{path}', error))
            return _Area(name, [], {}), problems
        for stray in found[layer.key].strays:
            file = Path(root, found[layer.key].path, stray)
            expected = f'{layer.folder}_{name}_p_<n>{layer.suffix}, after the folder'
            if not _is_area(name):
                expected = f'{layer.folder}_<season>_<aoi>_p_<n>{layer.suffix}'
            problems.append(SceneError(file, 'this name', expected, 'Rename or remove it.'))
    patches = found[layers[0].key].patches
    if all(part.patches == patches for part in found.values()):
        return _Area(name, patches, found), problems
    sets = {key: set(part.patches) for key, part in found.items()}
    for patch in sorted(set(chain.from_iterable(sets.values())), key=int):
        others = ', '.join(layer.folder for layer in layers if patch in sets[layer.key])
        for layer in layers:
            if patch not in sets[layer.key]:
                kind = layer.folder
                season = Path(root, split, f'{kind}_{name.partition("_")[0]}')
                file = season / f'{kind}_{name}' / f'{kind}_{name}_p_{patch}{layer.suffix}'
                expected = f'one: the scene has {others}'
                problems.append(SceneError(file, 'no such file', expected))
    complete = set(patches).intersection(*sets.values())
    whole = {key: _only(part, complete) for key, part in found.items()}
    return _Area(name, whole[layers[0].key].patches, whole), problems


def _only(folder: _Folder, patches: set[str]) -> _Folder:
    """The files of some patches."""
    kept = [i for i, patch in enumerate(folder.patches) if patch in patches]
    return _Folder(
        folder.path,
        [folder.patches[i] for i in kept],
        [folder.sizes[i] for i in kept],
        [folder.mtimes_ns[i] for i in kept],
        folder.strays,
    )


def _scan_folder(root: str, path: str, area: str, layer: Layer) -> _Folder:
    """Files of a modality in one area.

    There may be a million files: what is done for each of them is next to nothing beside asking
    the file system for its state.
    """
    with os.scandir(f'{root}{os.sep}{path}') as entries:
        files = [entry for entry in entries if entry.name.endswith(layer.suffix)]
    names = [entry.name for entry in files]
    states = _states(files)
    start = f'{layer.folder}_{area}_p_'
    low, high = len(start), -len(layer.suffix)
    patches = [name[low:high] for name in names]
    good = list(range(len(names)))
    strays: list[str] = []
    if not _is_area(area):
        good, strays = [], names
    elif not all(name.startswith(start) for name in names) or not all(
        patch.isdecimal() for patch in patches
    ):
        fits = [n.startswith(start) and p.isdecimal() for n, p in zip(names, patches, strict=True)]
        strays = [name for name, fit in zip(names, fits, strict=True) if not fit]
        good = [i for i, fit in enumerate(fits) if fit]
    order = sorted(good, key=lambda i: int(patches[i]))
    return _Folder(
        path,
        [patches[i] for i in order],
        [states[i].st_size for i in order],
        [states[i].st_mtime_ns for i in order],
        sorted(strays),
    )


def _states(files: Sequence[os.DirEntry[str]]) -> Sequence[os.stat_result | _NoState]:
    """State of each file."""
    try:
        return [entry.stat() for entry in files]
    except OSError:  # one by one, to find out which
        return [_state(entry) for entry in files]


def _state(entry: os.DirEntry[str]) -> os.stat_result | _NoState:
    try:
        return entry.stat()
    except OSError:  # a link to nowhere or to itself: reading its header says so
        return _NoState()


def _listing(areas: Sequence[_Area], layers: Sequence[Layer]) -> pd.DataFrame:
    """The scenes of all areas as one table."""
    times = {
        season: (np.datetime64(start), np.datetime64(stop) + _LAST_MOMENT)
        for season, (start, stop) in SEASONS.items()
    }
    areas = [area for area in areas if area.patches]
    counts = [len(area.patches) for area in areas]
    seasons = [times[area.name.partition('_')[0]] for area in areas]
    columns: dict[str, object] = {
        'scene': [f'{area.name}_p_{patch}' for area in areas for patch in area.patches],
        'area': [area.name for area in areas for _ in area.patches],
        'mint': np.repeat(np.array([start for start, _ in seasons], 'M8[us]'), counts),
        'maxt': np.repeat(np.array([stop for _, stop in seasons], 'M8[us]'), counts),
    }
    for layer in layers:
        parts = [area.folders[layer.key] for area in areas]
        starts = [
            f'{part.path}/{layer.folder}_{area.name}_p_'
            for part, area in zip(parts, areas, strict=True)
        ]
        columns[layer.key] = [
            f'{start}{patch}{layer.suffix}'
            for start, part in zip(starts, parts, strict=True)
            for patch in part.patches
        ]
        for name in ('sizes', 'mtimes_ns'):
            values = chain.from_iterable(getattr(part, name) for part in parts)
            column = 'size' if name == 'sizes' else 'mtime_ns'
            columns[f'{layer.key}_{column}'] = np.fromiter(values, np.int64, sum(counts))
    return pd.DataFrame(columns)


def _area_folders(
    root: str, folder: str, layer: Layer, problems: list[SceneError]
) -> dict[str, str]:
    """Folders of a modality, ``<kind>_<season>/<kind>_<season>_<aoi>``, by area.

    Args:
        root: folder of the data set.
        folder: folder of the split.
        layer: the modality.
        problems: takes what is wrong with folders.

    Returns:
        folders as seen from the root.
    """
    start = f'{layer.folder}_'
    return {
        area.removeprefix(start): f'{folder}/{season}/{area}'
        for season in _subfolders(f'{root}{os.sep}{folder}', start, problems)
        for area in _subfolders(f'{root}{os.sep}{folder}{os.sep}{season}', start, problems)
    }


def _subfolders(folder: str, start: str, problems: list[SceneError]) -> list[str]:
    """Names of the folders in a folder, of those that begin as they should."""
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(start) and _is_folder(entry, problems):
                    names.append(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        problems.append(unreadable_folder(folder, error))
    return sorted(names)


def _is_folder(entry: os.DirEntry[str], problems: list[SceneError]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:  # a link to itself
        problems.append(unreadable_folder(entry.path, error))
        return False


def read_file_list(
    file_list: Path, root: Path, folder: str, layers: Sequence[Layer]
) -> pd.DataFrame:
    """Read a list in the authors' format.

    Args:
        file_list: CSV file without header; columns :data:`~.m3mcr_layout.LIST_COLUMNS`, paths
            relative to the split's folder.
        root: folder of the data set.
        folder: folder of the split.
        layers: the modalities to take.

    Returns:
        the scenes with the state of their files, as of :func:`~.scene_cache.list_files`, in the
        order of the list.

    Raises:
        FileNotFoundError: if there is no such list.
        ScenesError: if a row is malformed, or a scene is listed twice.
    """
    if not file_list.is_file():
        raise FileNotFoundError(f'{file_list}: no such list of scenes. Check `file_list`.')
    scenes: dict[str, SceneFiles] = {}
    problems: list[SceneError] = []
    with file_list.open(newline='') as lines:
        for number, row in enumerate(csv.reader(lines), 1):
            columns = [column.strip() for column in row]
            if not any(columns):
                continue
            stem = Path(columns[0]).stem.removeprefix(f'{LAYERS["image_clear"].folder}_')
            if len(columns) != len(LIST_COLUMNS) or not _is_scene(stem):
                kinds = ', '.join(LAYERS[key].folder for key in LIST_COLUMNS)
                found = f'{row} in line {number}'
                expected = f'five paths: {kinds}'
                problems.append(
                    SceneError(file_list, found, expected, 'Correct the line, or remove it.')
                )
            elif stem in scenes:
                found = f'{stem} again in line {number}'
                problems.append(SceneError(file_list, found, 'each scene once', 'Remove the line.'))
            else:
                paths = dict(zip(LIST_COLUMNS, columns, strict=True))
                wanted = {layer.key: str(root / folder / paths[layer.key]) for layer in layers}
                scenes[stem] = _scene(stem, wanted)
    if problems:
        raise ScenesError(problems)
    return list_files(list(scenes.values()), str(root))


def _is_area(name: str) -> bool:
    """Whether a name is ``<season>_<aoi>``."""
    season, _, aoi = name.partition('_')
    return season in SEASONS and bool(aoi) and '_' not in aoi


def _is_scene(name: str) -> bool:
    """Whether a name is ``<season>_<aoi>_p_<n>``."""
    area, mark, patch = name.rpartition('_p_')
    return bool(mark) and _is_area(area) and patch.isdecimal()


def _scene(stem: str, paths: Mapping[str, str]) -> SceneFiles:
    area = stem.rpartition('_p_')[0]
    start, stop = SEASONS[area.partition('_')[0]]
    return SceneFiles(stem, area, pd.Timestamp(start), pd.Timestamp(stop) + _LAST_MOMENT, paths)
