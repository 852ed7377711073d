"""Facts about M3M-CR: its layers, classes, seasons, folders and lists."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

import pandas as pd

from .errors import SceneError, ScenesError
from .layer import Layer
from .legend import LandCoverClass
from .scene_table import SceneFiles

Classes = Literal['level1', 'level2']
Split = Literal['train', 'val', 'test']

_TEN_METRES = Fraction(3, 10)
_PLANET = ('Blue', 'Green', 'Red', 'NIR')

#: The five modalities by sample key. Sizes, types and units were read off real patches.
LAYERS: Mapping[str, Layer] = {
    layer.key: layer
    for layer in (
        Layer('image', 'planet_cloudy', _PLANET, ('uint16',), size_px=(300, 300)),
        Layer('image_clear', 'planet_cloudfree', _PLANET, ('uint16',), size_px=(300, 300)),
        Layer(
            'image_sar',
            'S1',
            ('VV', 'VH'),
            ('float64', 'float32'),
            ratio=_TEN_METRES,
            size_px=(90, 90),
            may_be_nan=True,
        ),
        Layer(
            'mask_cloud',
            'cloudmask',
            ('cloud',),
            ('bool',),
            size_px=(300, 300),
            suffix='.npy',
            categorical=True,
        ),
        Layer(
            'mask',
            'landcover',
            ('class',),
            ('uint8',),
            ratio=_TEN_METRES,
            size_px=(90, 90),
            categorical=True,
        ),
    )
}

#: Columns of the authors' lists, by sample key.
LIST_COLUMNS = ('image_clear', 'image', 'image_sar', 'mask', 'mask_cloud')


#: Legends by level. Codes in no class (see :data:`UNKNOWN_CODES`) are ignored. Colours are those
#: of ESA WorldCover 2020 (product user manual, section on the legend).
LEGENDS: Mapping[str, tuple[LandCoverClass, ...]] = {
    'level1': (
        LandCoverClass('forest', (10,), (0, 100, 0)),
        LandCoverClass('rangeland', (20, 30), (255, 255, 76)),
        LandCoverClass('agriculture', (40,), (240, 150, 255)),
        LandCoverClass('urban', (50,), (250, 0, 0)),
        LandCoverClass('barren', (60,), (180, 180, 180)),
        LandCoverClass('water', (80, 90), (0, 100, 200)),
    ),
    'level2': (
        LandCoverClass('tree cover', (10,), (0, 100, 0)),
        LandCoverClass('shrubland', (20,), (255, 187, 34)),
        LandCoverClass('grassland', (30,), (255, 255, 76)),
        LandCoverClass('cropland', (40,), (240, 150, 255)),
        LandCoverClass('built-up', (50,), (250, 0, 0)),
        LandCoverClass('bare', (60,), (180, 180, 180)),
        LandCoverClass('snow and ice', (70,), (240, 240, 240)),
        LandCoverClass('water', (80,), (0, 100, 200)),
        LandCoverClass('herbaceous wetland', (90,), (0, 150, 160)),
        LandCoverClass('mangroves', (95,), (0, 207, 117)),
        LandCoverClass('moss and lichen', (100,), (250, 230, 160)),
    ),
}

#: Codes that mean "no class" where the legend does not name them: no data, and at level 1 snow,
#: mangroves and moss.
UNKNOWN_CODES = (0, 70, 95, 100)

#: Folder of each split; validation areas are taken from the training folder.
FOLDERS: Mapping[str, str] = {'train': 'train', 'val': 'train', 'test': 'test'}

#: Meteorological seasons of 2020; a winter counts to the year in which it ends.
SEASONS: Mapping[str, tuple[str, str]] = {
    'winter': ('2019-12-01', '2020-02-29'),
    'spring': ('2020-03-01', '2020-05-31'),
    'summer': ('2020-06-01', '2020-08-31'),
    'fall': ('2020-09-01', '2020-11-30'),
}

_STEM = re.compile(r'(?P<area>(?P<season>[a-z]+)_(?P<aoi>[^_/]+))_p_(?P<patch>\d+)')


def find_scenes(root: Path, folder: str, layers: Sequence[Layer]) -> list[SceneFiles]:
    """Find all scenes of a split's folder.

    Args:
        root: folder of the data set.
        folder: folder of the split.
        layers: the modalities that every scene must have.

    Returns:
        the scenes, sorted by season, area and patch number.

    Raises:
        ScenesError: if a scene lacks a modality, or a file's name does not follow the layout.
    """
    found: dict[str, dict[str, str]] = {}
    problems: list[SceneError] = []
    for layer in layers:
        for path in _layer_files(root / folder, layer):
            stem = Path(path).stem.removeprefix(f'{layer.folder}_')
            if _parse(stem) is None:
                expected = f'{layer.folder}_<season>_<aoi>_p_<n>{layer.suffix}'
                problems.append(SceneError(path, 'this name', expected, 'Rename or remove it.'))
                continue
            found.setdefault(stem, {})[layer.key] = path
    for stem, paths in found.items():
        for layer in layers:
            if layer.key not in paths:
                missing = root / folder / _relative_path(layer, stem)
                others = ', '.join(layer.folder for layer in layers if layer.key in paths)
                problems.append(SceneError(missing, 'no such file', f'one: the scene has {others}'))
    if problems:
        raise ScenesError(problems)
    return [_scene(stem, found[stem]) for stem in sorted(found, key=_sort_key)]


def read_file_list(
    file_list: Path, root: Path, folder: str, layers: Sequence[Layer]
) -> list[SceneFiles]:
    """Read a list in the authors' format.

    Args:
        file_list: CSV file without header; columns :data:`LIST_COLUMNS`, paths relative to the
            split's folder.
        root: folder of the data set.
        folder: folder of the split.
        layers: the modalities to take.

    Returns:
        the scenes, in the order of the list.

    Raises:
        FileNotFoundError: if there is no such list.
        ScenesError: if a row is malformed.
    """
    if not file_list.is_file():
        raise FileNotFoundError(f'{file_list}: no such list of scenes. Check `file_list`.')
    scenes: list[SceneFiles] = []
    problems: list[SceneError] = []
    with file_list.open(newline='') as lines:
        for number, row in enumerate(csv.reader(lines), 1):
            columns = [column.strip() for column in row]
            if not any(columns):
                continue
            stem = Path(columns[0]).stem.removeprefix(f'{LAYERS["image_clear"].folder}_')
            if len(columns) != len(LIST_COLUMNS) or _parse(stem) is None:
                expected = ', '.join(LAYERS[key].folder for key in LIST_COLUMNS)
                problems.append(
                    SceneError(file_list, f'{row} in line {number}', f'five paths: {expected}')
                )
                continue
            paths = dict(zip(LIST_COLUMNS, columns, strict=True))
            wanted = {layer.key: str(root / folder / paths[layer.key]) for layer in layers}
            scenes.append(_scene(stem, wanted))
    if problems:
        raise ScenesError(problems)
    return scenes


def split_areas(scenes: Iterable[SceneFiles], split: str, val_share: float) -> list[SceneFiles]:
    """Take the training or the validation scenes out of the training folder.

    Areas are ranked by a hash of their name and the first share of them, at least one, is for
    validation; an area is never in both. A single area is for training.

    Args:
        scenes: the scenes of the training folder.
        split: ``train`` or ``val``.
        val_share: share of the areas that is for validation, 0 to 1.

    Returns:
        the scenes of the split, in their order.
    """
    scenes = list(scenes)
    areas = sorted({scene.area for scene in scenes}, key=_area_rank)
    count = round(val_share * len(areas))
    count = min(max(count, 1 if val_share > 0 else 0), len(areas) - 1) if areas else 0
    chosen = set(areas[:count])
    return [scene for scene in scenes if (scene.area in chosen) == (split == 'val')]


def _area_rank(area: str) -> str:
    return hashlib.sha256(area.encode()).hexdigest()


def _layer_files(folder: Path, layer: Layer) -> Iterator[str]:
    """Files of a modality: ``<kind>_<season>/<kind>_<season>_<aoi>/*``."""
    for season in sorted(folder.glob(f'{layer.folder}_*')):
        for area in sorted(season.glob(f'{layer.folder}_*')):
            yield from (str(path) for path in area.glob(f'*{layer.suffix}'))


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
    match = _STEM.fullmatch(stem)
    if match is None:
        raise ValueError(f'{stem!r} is no name of an M3M-CR scene, <season>_<aoi>_p_<n>.')
    start, stop = SEASONS[match['season']]
    end_of_day = pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)
    return SceneFiles(
        scene=stem,
        area=match['area'],
        mint=pd.Timestamp(start),
        maxt=pd.Timestamp(stop) + end_of_day,
        paths=paths,
    )
