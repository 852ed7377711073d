"""Facts about WHU-OPT-SAR: its layers, classes, folders and official division."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pandas as pd

from ..rasters import Grid, Header, SceneError, ScenesError, unreadable_folder
from .layer import Layer
from .legend import LandCoverClass
from .scene_table import SceneFiles
from .sheets import sheet_bounds

#: Order of the stored optical bands: as the authors say, or as others read them.
BandOrder = Literal['BGRN', 'RGBN']
BAND_ORDERS: Mapping[str, tuple[str, str, str, str]] = {
    'BGRN': ('Blue', 'Green', 'Red', 'NIR'),
    'RGBN': ('Red', 'Green', 'Blue', 'NIR'),
}

#: The modalities by sample key. Scenes differ in size by a few pixels.
LAYERS: Mapping[str, Layer] = {
    layer.key: layer
    for layer in (
        Layer('image', 'optical', BAND_ORDERS['BGRN'], ('uint8',), nodata=0),
        Layer('image_sar', 'sar', ('backscatter',), ('uint8',), nodata=0),
        Layer('mask', 'lbl', ('class',), ('uint8',), categorical=True),
    )
}

#: Names that the folder of each modality may have.
FOLDERS: Mapping[str, tuple[str, ...]] = {
    'image': ('optical', 'image'),
    'image_sar': ('sar',),
    'mask': ('lbl',),
}

#: Legend of the data set (Li et al. 2022).
LEGEND: tuple[LandCoverClass, ...] = (
    LandCoverClass('farmland', (10,), (204, 102, 0)),
    LandCoverClass('city', (20,), (255, 0, 0)),
    LandCoverClass('village', (30,), (255, 255, 0)),
    LandCoverClass('water', (40,), (0, 0, 255)),
    LandCoverClass('forest', (50,), (85, 167, 0)),
    LandCoverClass('road', (60,), (0, 255, 255)),
    LandCoverClass('others', (70,), (153, 102, 153)),
)

#: Codes that mean "no class": background.
UNKNOWN_CODES = (0,)

#: CRS of the nominal georeference, where no file of the data set states one.
NOMINAL_CRS = 'EPSG:4326'

#: Two sheets touch where their edges are closer than this, in degrees.
_TOUCHING_DEGREES = 1e-9


def official_division() -> dict[str, list[str]]:
    """Training and test sheets as the data set's authors divided them.

    Returns:
        names of the sheets under ``train`` (80) and ``test`` (20).
    """
    text = files(__package__).joinpath('whuoptsar_division.txt').read_text()
    division: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.endswith(':'):
            names = division.setdefault(line.removesuffix(':'), [])
        elif line.strip():
            names.append(Path(line.strip()).stem)
    return division


def split_sheets(names: Iterable[str], split: str, val_share: float) -> list[str]:
    """Sheets of a split.

    Training and test follow the official division. Validation takes a share of the training
    sheets that touch no test sheet, ranked by a hash of their name: always the same ones.

    Args:
        names: sheets at hand.
        split: ``train``, ``val`` or ``test``.
        val_share: share of the training sheets that is for validation, 0 to 1.

    Returns:
        the sheets of the split, sorted.

    Raises:
        ValueError: if a sheet is in neither part of the official division.
    """
    division = official_division()
    at_hand = set(names)
    strangers = sorted(at_hand - {name for part in division.values() for name in part})
    if strangers:
        raise ValueError(
            f'Sheets {strangers} are in neither part of the official division of WHU-OPT-SAR. '
            'Remove them, or give the names of the scenes to use as `file_list`.'
        )
    if split == 'test':
        return sorted(at_hand & set(division['test']))
    training = sorted(at_hand & set(division['train']))
    free = [n for n in training if not any(sheets_touch(n, test) for test in division['test'])]
    count = round(val_share * len(training))
    count = min(max(count, 1 if val_share > 0 else 0), len(free), max(len(training) - 1, 0))
    chosen = set(sorted(free, key=lambda n: hashlib.sha256(n.encode()).hexdigest())[:count])
    return [name for name in training if (name in chosen) == (split == 'val')]


def sheets_touch(first: str, second: str) -> bool:
    """Whether two map sheets share an edge or a corner.

    Args:
        first: name of a sheet.
        second: name of another.

    Returns:
        True where they do.
    """
    west, south, east, north = sheet_bounds(first)
    other_west, other_south, other_east, other_north = sheet_bounds(second)
    gap_x = max(west, other_west) - min(east, other_east)
    gap_y = max(south, other_south) - min(north, other_north)
    return max(gap_x, gap_y) < _TOUCHING_DEGREES


def find_sheets(root: Path, layers: Sequence[Layer]) -> dict[str, SceneFiles]:
    """Find all sheets with their files.

    Args:
        root: folder of the data set.
        layers: the modalities that every sheet must have.

    Returns:
        scenes by name of the sheet, sorted.

    Raises:
        ScenesError: if a sheet lacks a modality, or a file's name is not that of a sheet.
    """
    sheets, problems = scan_sheets(root, layers)
    if problems:
        raise ScenesError(problems)
    return sheets


def scan_sheets(
    root: Path, layers: Sequence[Layer]
) -> tuple[dict[str, SceneFiles], list[SceneError]]:
    """Find all sheets with their files, and go on where files are missing.

    Args:
        root: folder of the data set.
        layers: the modalities that every sheet must have.

    Returns:
        the complete sheets by name, sorted, and what is wrong with the others.
    """
    found: dict[str, dict[str, str]] = {}
    problems: list[SceneError] = []
    folders = {layer.key: _folder(root, layer.key) for layer in layers}
    listed = []
    for layer in layers:
        try:
            entries = sorted(folders[layer.key].iterdir())
        except FileNotFoundError:
            entries = []
        except OSError as error:
            problems.append(unreadable_folder(folders[layer.key], error))
            continue
        listed.append(layer)
        for path in (entry for entry in entries if entry.name.endswith(layer.suffix)):
            try:
                sheet_bounds(path.stem)
            except ValueError as error:
                expected = f'the number of a map sheet ({error})'
                problems.append(SceneError(path, 'this name', expected, 'Rename or remove it.'))
                continue
            found.setdefault(path.stem, {})[layer.key] = str(path)
    for name, paths in found.items():
        for layer in listed:
            if layer.key not in paths:
                missing = folders[layer.key] / f'{name}{layer.suffix}'
                others = ', '.join(paths)
                problems.append(SceneError(missing, 'no such file', f'one: the sheet has {others}'))
    ever = (pd.Timestamp.min, pd.Timestamp.max)
    complete = sorted(name for name, paths in found.items() if len(paths) == len(layers))
    return {name: SceneFiles(name, name, *ever, found[name]) for name in complete}, problems


def nominal_georeference(name: str, header: Header, crs: str = NOMINAL_CRS) -> Header:
    """Place a scene within the neat line of its map sheet.

    Args:
        name: name of the sheet.
        header: header of a file without georeference.
        crs: a geographic CRS.

    Returns:
        the header with the sheet's bounds, good to some tens of meters at best.
    """
    west, south, east, north = sheet_bounds(name)
    xres, yres = (east - west) / header.width, (north - south) / header.height
    size_px = header.height, header.width
    return replace(header, grid=Grid.north_up(crs, (west, north), (xres, yres), size_px))


def _folder(root: Path, key: str) -> Path:
    names = FOLDERS[key]
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])
