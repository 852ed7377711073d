"""Finding the files of M3M-CR: by its layout of folders, or by a list in the authors' format."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from ...index import Layer, SceneFiles
from ...rasters import SceneError, unreadable_folder
from ..scene_scan import Found
from .layout import LAYERS, LIST_COLUMNS, SEASONS

#: From the beginning of a day to its end.
_LAST_MOMENT = pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)

#: Start and end of each season.
_TIMES = {
    season: (pd.Timestamp(start), pd.Timestamp(stop) + _LAST_MOMENT)
    for season, (start, stop) in SEASONS.items()
}


class _LayerFiles(NamedTuple):
    """Files of a modality."""

    #: Names of the files of each area.
    areas: dict[str, list[str]]
    #: Folders that cannot be read, of which it is not known what they hold.
    closed: list[SceneError]


def scan_folders(root: Path, part: str, layers: Sequence[Layer]) -> Found:
    """Find all scenes of a split's folder.

    Args:
        root: folder of the data set.
        part: folder of the split.
        layers: the modalities that every scene must have.

    Yields:
        the scenes that are complete, sorted by season, area and patch number, and what is wrong
        with the others.
    """
    # together, which hides the latency of network disks
    with ThreadPoolExecutor(len(layers)) as pool:
        listed = list(pool.map(partial(_list_layer, root / part), layers))
    problems = {error.path: error for files in listed for error in files.closed}
    yield from problems.values()
    for area in sorted(set(chain.from_iterable(files.areas for files in listed))):
        folders = [_area_folder(root / part, layer, area) for layer in layers]
        above = {str(root / part), *folders, *(str(Path(folder).parent) for folder in folders)}
        if above.isdisjoint(problems):
            names = [files.areas.get(area, []) for files in listed]
            yield from _area_scenes(area, layers, folders, names)


def _area_folder(folder: Path, layer: Layer, area: str) -> str:
    """Where the layout puts the files of a modality in an area."""
    season = area.partition('_')[0]
    return str(folder / f'{layer.folder}_{season}' / f'{layer.folder}_{area}')


def _list_layer(folder: Path, layer: Layer) -> _LayerFiles:
    """Files of a modality in the folders ``<kind>_<season>/<kind>_<season>_<aoi>``."""
    areas: dict[str, list[str]] = {}
    closed: list[SceneError] = []
    start = f'{layer.folder}_'
    for season in _subfolders(str(folder), start, closed):
        for area in _subfolders(season, start, closed):
            try:
                names = [name for name in os.listdir(area) if name.endswith(layer.suffix)]  # noqa: PTH208
            except OSError as error:
                closed.append(unreadable_folder(area, error))
            else:
                areas[Path(area).name.removeprefix(start)] = names
    return _LayerFiles(areas, closed)


def _subfolders(folder: str, start: str, closed: list[SceneError]) -> list[str]:
    """The folders in a folder, of those that begin as they should."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.name.startswith(start) and entry.is_dir():
                        found.append(entry.path)
                except OSError as error:  # a link to itself
                    closed.append(unreadable_folder(entry.path, error))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        closed.append(unreadable_folder(folder, error))
    return sorted(found)


def _area_scenes(
    area: str, layers: Sequence[Layer], folders: Sequence[str], listed: Sequence[list[str]]
) -> Iterator[SceneFiles | SceneError]:
    """The scenes of an area, and what is missing or misnamed.

    Args:
        area: its name.
        layers: the modalities.
        folders: folder of each modality.
        listed: names of the files in each folder.
    """
    known = _is_area(area)
    paths: dict[str, dict[str, str]] = {layer.key: {} for layer in layers}
    for layer, folder, names in zip(layers, folders, listed, strict=True):
        start = f'{layer.folder}_{area}_p_'
        low, high = len(start), -len(layer.suffix)
        for name in names:
            if known and name.startswith(start) and name[low:high].isdecimal():
                paths[layer.key][name[low:high]] = f'{folder}{os.sep}{name}'
            elif not name.startswith('.'):
                like = area if known else '<season>_<aoi>'
                expected = f'{layer.folder}_{like}_p_<n>{layer.suffix}, after the folder'
                file = Path(folder, name)
                yield SceneError(file, 'this name', expected, 'Rename or remove it.')
    for patch in sorted(set(chain.from_iterable(paths.values())), key=int):
        files = {key: found[patch] for key, found in paths.items() if patch in found}
        if len(files) == len(layers):
            yield _scene(area, f'{area}_p_{patch}', files)
            continue
        there = ', '.join(layer.folder for layer in layers if layer.key in files)
        for layer, folder in zip(layers, folders, strict=True):
            if layer.key not in files:
                file = Path(folder, f'{layer.folder}_{area}_p_{patch}{layer.suffix}')
                yield SceneError(file, 'no such file', f'one: the scene has {there}')


def read_file_list(file_list: Path, folder: Path, layers: Sequence[Layer]) -> Found:
    """Read a list in the authors' format.

    Args:
        file_list: CSV file without header; columns :data:`~.layout.LIST_COLUMNS`, paths relative
            to the split's folder.
        folder: folder of the split.
        layers: the modalities to take.

    Yields:
        the scenes in the order of the list, and an error for each line that is malformed or names
        a scene again.
    """
    seen: set[str] = set()
    with file_list.open(newline='') as lines:
        for number, row in enumerate(csv.reader(lines), 1):
            columns = [column.strip() for column in row]
            if not any(columns):
                continue
            name = Path(columns[0]).stem.removeprefix(f'{LAYERS["image_clear"].folder}_')
            if len(columns) != len(LIST_COLUMNS) or not _is_scene(name):
                kinds = ', '.join(LAYERS[key].folder for key in LIST_COLUMNS)
                found, remedy = f'{row} in line {number}', 'Correct the line, or remove it.'
                yield SceneError(file_list, found, f'five paths: {kinds}', remedy)
            elif name in seen:
                found = f'{name} again in line {number}'
                yield SceneError(file_list, found, 'each scene once', 'Remove the line.')
            else:
                seen.add(name)
                paths = dict(zip(LIST_COLUMNS, columns, strict=True))
                files = {layer.key: str(folder / paths[layer.key]) for layer in layers}
                yield _scene(name.rpartition('_p_')[0], name, files)


def _is_area(name: str) -> bool:
    """Whether a name is ``<season>_<aoi>``."""
    season, _, aoi = name.partition('_')
    return season in SEASONS and bool(aoi) and '_' not in aoi


def _is_scene(name: str) -> bool:
    """Whether a name is ``<season>_<aoi>_p_<n>``."""
    area, mark, patch = name.rpartition('_p_')
    return bool(mark) and _is_area(area) and patch.isdecimal()


def _scene(area: str, name: str, paths: Mapping[str, str]) -> SceneFiles:
    return SceneFiles(name, paths, area, *_TIMES[area.partition('_')[0]])
