"""Finding the files of M3M-CR: by its layout of folders, or by a list in the authors' format."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from .errors import SceneError, ScenesError
from .layer import Layer
from .m3mcr_layout import LAYERS, LIST_COLUMNS, SEASONS
from .raster_io import unreadable
from .scene_cache import list_files
from .scene_table import SceneFiles

_STEM = re.compile(r'(?P<area>(?P<season>[a-z]+)_(?P<aoi>[^_/]+))_p_(?P<patch>\d+)')

_END_OF_DAY = pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)

#: Folders looked through at the same time, which hides the latency of network disks.
_SCAN_THREADS = 4


class _File(NamedTuple):
    """A file of a modality, in the order in which scenes are sorted."""

    area: str
    patch: int
    stem: str
    path: str
    size: int
    mtime_ns: int


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
    found: dict[str, list[_File]] = {}
    with ThreadPoolExecutor(_SCAN_THREADS) as pool:
        for layer in layers:
            areas = list(_area_folders(str(root), folder, layer))
            scanned = list(pool.map(partial(_scan_area, str(root), layer), areas))
            found[layer.key] = sorted(chain.from_iterable(files for files, _ in scanned))
            problems += chain.from_iterable(broken for _, broken in scanned)
    stems = {key: [file.stem for file in files] for key, files in found.items()}
    first = next(iter(stems.values()))
    if any(names != first for names in stems.values()):
        problems += _missing(stems, root, folder, layers)
        complete = set(first).intersection(*stems.values())
        found = {
            key: [file for file in files if file.stem in complete] for key, files in found.items()
        }
    return _listing(found), problems


def _missing(
    stems: Mapping[str, list[str]], root: Path, folder: str, layers: Sequence[Layer]
) -> Iterator[SceneError]:
    """Modalities that some scenes lack."""
    sets = {key: set(names) for key, names in stems.items()}
    for stem in sorted(set(chain.from_iterable(sets.values())), key=_sort_key):
        others = ', '.join(layer.folder for layer in layers if stem in sets[layer.key])
        for layer in layers:
            if stem not in sets[layer.key]:
                path = root / folder / _relative_path(layer, stem)
                yield SceneError(path, 'no such file', f'one: the scene has {others}')


def _listing(found: Mapping[str, list[_File]]) -> pd.DataFrame:
    """Files of all modalities, in the same order, as one table."""
    files = next(iter(found.values()))
    seasons = [file.area.partition('_')[0] for file in files]
    codes, names = pd.factorize(np.array(seasons, dtype=object))
    starts = pd.DatetimeIndex([pd.Timestamp(SEASONS[name][0]) for name in names])
    stops = pd.DatetimeIndex([pd.Timestamp(SEASONS[name][1]) + _END_OF_DAY for name in names])
    columns: dict[str, object] = {
        'scene': [file.stem for file in files],
        'area': [file.area for file in files],
        'mint': starts.take(codes),
        'maxt': stops.take(codes),
    }
    for key, layer_files in found.items():
        columns[key] = [file.path for file in layer_files]
        columns[f'{key}_size'] = np.array([file.size for file in layer_files], np.int64)
        columns[f'{key}_mtime_ns'] = np.array([file.mtime_ns for file in layer_files], np.int64)
    return pd.DataFrame(columns)


def _area_folders(root: str, folder: str, layer: Layer) -> Iterator[str]:
    """Folders of a modality, ``<kind>_<season>/<kind>_<season>_<aoi>``, as seen from the root."""
    for season in _subfolders(os.path.join(root, folder), layer):  # noqa: PTH118
        inside = f'{folder}/{season}'
        for area in _subfolders(os.path.join(root, inside), layer):  # noqa: PTH118
            yield f'{inside}/{area}'


def _subfolders(folder: str, layer: Layer) -> list[str]:
    if not os.path.isdir(folder):  # noqa: PTH112
        return []
    with os.scandir(folder) as entries:
        start = f'{layer.folder}_'
        return sorted(e.name for e in entries if e.name.startswith(start) and e.is_dir())


def _scan_area(root: str, layer: Layer, folder: str) -> tuple[list[_File], list[SceneError]]:
    """Files of a modality in one area, and those that cannot be taken."""
    files: list[_File] = []
    problems: list[SceneError] = []
    name = folder.rpartition('/')[2]
    area = name.removeprefix(f'{layer.folder}_')
    start, end = f'{name}_p_', layer.suffix
    in_layout = _STEM.fullmatch(f'{area}_p_0') is not None and area.partition('_')[0] in SEASONS
    with os.scandir(os.path.join(root, folder)) as entries:  # noqa: PTH118
        for entry in entries:
            file = entry.name
            if not file.endswith(end):
                continue
            number = file[len(start) : -len(end)]
            stem = file[len(layer.folder) + 1 : -len(end)]
            owner = area
            # the common case without a regular expression: there may be a million files
            if not (in_layout and file.startswith(start) and number.isdecimal()):
                match = _parse(stem) if file.startswith(f'{layer.folder}_') else None
                if match is None:
                    expected = f'{layer.folder}_<season>_<aoi>_p_<n>{layer.suffix}'
                    remedy = 'Rename or remove it.'
                    problems.append(SceneError(entry.path, 'this name', expected, remedy))
                    continue
                owner, number = match['area'], match['patch']
            try:
                state = entry.stat()
            except OSError as error:
                problems.append(unreadable(entry.path, error))
                # not missing as well: the scene is in the list, and its other files are read
                state = None
            path = f'{folder}/{file}'
            size, mtime_ns = (state.st_size, state.st_mtime_ns) if state else (-1, -1)
            files.append(_File(owner, int(number), stem, path, size, mtime_ns))
    return files, problems


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
            if len(columns) != len(LIST_COLUMNS) or _parse(stem) is None:
                kinds = ', '.join(LAYERS[key].folder for key in LIST_COLUMNS)
                found = f'{row} in line {number}'
                problems.append(SceneError(file_list, found, f'five paths: {kinds}'))
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


def _relative_path(layer: Layer, stem: str) -> Path:
    """Where the layout puts the file of a scene."""
    match = _parse(stem)
    season, area = (match['season'], match['area']) if match else ('', '')
    folder = Path(f'{layer.folder}_{season}') / f'{layer.folder}_{area}'
    return folder / f'{layer.folder}_{stem}{layer.suffix}'


def _parse(stem: str) -> re.Match[str] | None:
    """Season, area and patch number of a scene's name, if it is one."""
    match = _STEM.fullmatch(stem)
    return match if match and match['season'] in SEASONS else None


def _sort_key(stem: str) -> tuple[str, int]:
    match = _STEM.fullmatch(stem)
    return (match['area'], int(match['patch'])) if match else (stem, 0)


def _scene(stem: str, paths: Mapping[str, str]) -> SceneFiles:
    area = stem.rpartition('_p_')[0]
    start, stop = SEASONS[area.partition('_')[0]]
    return SceneFiles(stem, area, pd.Timestamp(start), pd.Timestamp(stop) + _END_OF_DAY, paths)
