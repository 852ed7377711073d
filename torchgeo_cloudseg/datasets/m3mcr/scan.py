"""Finding the files of M3M-CR: by its layout of folders, or by a list in the authors' format."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import pandas as pd

from ..._threads import Threads
from ...index import Layer, SceneFiles
from ...rasters import SceneError
from ...rasters.text import read_rows
from ..scene_scan import Listing, list_folder, pair_files
from .layout import LAYERS, LIST_COLUMNS, SEASONS

#: From the beginning of a day to its end.
_LAST_MOMENT = pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)

#: Start and end of each season.
_TIMES = {
    season: (pd.Timestamp(start), pd.Timestamp(stop) + _LAST_MOMENT)
    for season, (start, stop) in SEASONS.items()
}

#: Names of areas and of scenes.
_AREA = re.compile(rf'({"|".join(SEASONS)})_[^_]+')
_SCENE = re.compile(rf'{_AREA.pattern}_p_\d+')


def scan_folders(
    root: Path, part: str, layers: Sequence[Layer]
) -> Iterator[SceneFiles | SceneError]:
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
    with Threads(len(layers)) as pool:
        listings = list(pool.map(partial(_list_layer, root / part), layers))
    place = partial(_place, root / part)
    for entry in pair_files(layers, listings, _scene_name, place, _area_and_number):
        yield _placed(entry) if isinstance(entry, SceneFiles) else entry


def _list_layer(folder: Path, layer: Layer) -> Listing:
    """Files of a modality in the folders ``<kind>_<season>/<kind>_<season>_<aoi>``."""
    paths = [str(folder)]
    closed: list[SceneError] = []
    for start, end in ((f'{layer.folder}_', ''), (f'{layer.folder}_', ''), ('', layer.suffix)):
        listings = [list_folder(path, start, end) for path in paths]
        paths = list(chain.from_iterable(found for found, _ in listings))
        closed += chain.from_iterable(errors for _, errors in listings)
    return paths, closed


def _scene_name(layer: Layer, path: str) -> str:
    """Name of the scene of a file.

    Returns:
        the name.

    Raises:
        ValueError: if it is not named after its folder.
    """
    # as text: paths of some ten thousand files would take as long as all the rest
    _, folder, file = path[: -len(layer.suffix)].rsplit(os.sep, 2)
    start = f'{layer.folder}_'
    area, name = folder.removeprefix(start), file.removeprefix(start)
    if file == name or not (_SCENE.fullmatch(name) and name.startswith(f'{area}_p_')):
        like = area if _AREA.fullmatch(area) else '<season>_<aoi>'
        raise ValueError(f'{layer.folder}_{like}_p_<n>{layer.suffix}, after the folder')
    return name


def _place(folder: Path, layer: Layer, name: str) -> str:
    """Where the layout puts the file of a scene."""
    area, _ = _area_and_number(name)
    season = area.partition('_')[0]
    above = folder / f'{layer.folder}_{season}' / f'{layer.folder}_{area}'
    return str(above / f'{layer.folder}_{name}{layer.suffix}')


def _area_and_number(name: str) -> tuple[str, int]:
    """The parts of a scene's name, by which scenes are sorted."""
    area, _, number = name.rpartition('_p_')
    return area, int(number)


def _placed(scene: SceneFiles) -> SceneFiles:
    """A scene with its area and season."""
    area, _ = _area_and_number(scene.name)
    mint, maxt = _TIMES[area.partition('_')[0]]
    return replace(scene, area=area, mint=mint, maxt=maxt)


def read_file_list(
    file_list: Path, folder: Path, layers: Sequence[Layer]
) -> Iterator[SceneFiles | SceneError]:
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
    for number, row in enumerate(read_rows(file_list), 1):
        columns = [column.strip() for column in row]
        if not any(columns):
            continue
        name = Path(columns[0]).stem.removeprefix(f'{LAYERS["image_clear"].folder}_')
        if len(columns) != len(LIST_COLUMNS) or not _SCENE.fullmatch(name):
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
            yield _placed(SceneFiles(name, files))
