"""Facts about WHU-OPT-SAR: its layers, classes, folders and official division."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import shapely

from ...index import Layer, by_key
from ..legend import LandCoverClass
from .sheets import sheet_bounds

#: Order of the stored optical bands: as the authors say, or as others read them.
BAND_ORDERS: Mapping[str, tuple[str, str, str, str]] = {
    'BGRN': ('Blue', 'Green', 'Red', 'NIR'),
    'RGBN': ('Red', 'Green', 'Blue', 'NIR'),
}

#: The modalities by sample key. Scenes differ in size by a few pixels.
LAYERS: Mapping[str, Layer] = by_key(
    Layer('image', 'optical', BAND_ORDERS['BGRN'], ('uint8',), nodata=0),
    Layer('image_sar', 'sar', ('backscatter',), ('uint8',), nodata=0),
    Layer('mask', 'lbl', ('class',), ('uint8',), categorical=True),
)

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


@cache
def official_division() -> dict[str, list[str]]:
    """Training and test sheets as the data set's authors divided them.

    Returns:
        names of the sheets under ``train`` (80) and ``test`` (20).
    """
    text = files(__package__).joinpath('division.txt').read_text()
    division: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.endswith(':'):
            names = division.setdefault(line.removesuffix(':'), [])
        elif line.strip():
            names.append(Path(line.strip()).stem)
    return division


def sheets_touch(first: str, second: str) -> bool:
    """Whether two map sheets share an edge or a corner.

    Args:
        first: name of a sheet.
        second: name of another.

    Returns:
        True where they do.
    """
    sheets = [shapely.box(*sheet_bounds(name)) for name in (first, second)]
    return bool(shapely.dwithin(*sheets, _TOUCHING_DEGREES))
