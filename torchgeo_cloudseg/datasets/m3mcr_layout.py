"""Facts about M3M-CR: its layers, classes, seasons, folders and the division into splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Literal

from .layer import Layer
from .legend import LandCoverClass

Classes = Literal['level1', 'level2']
Split = Literal['train', 'val', 'test']

_TEN_METERS = Fraction(3, 10)
_PLANET: Mapping[str, Any] = {
    'bands': ('Blue', 'Green', 'Red', 'NIR'),
    'dtypes': ('uint16',),
    'size_px': (300, 300),
    'nodata': 0,
}

#: The five modalities by sample key. Sizes, types and units were read off real patches.
LAYERS: Mapping[str, Layer] = {
    layer.key: layer
    for layer in (
        Layer('image', 'planet_cloudy', **_PLANET),
        Layer('image_clear', 'planet_cloudfree', **_PLANET),
        Layer(
            'image_sar',
            'S1',
            ('VV', 'VH'),
            ('float64', 'float32'),
            ratio=_TEN_METERS,
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
            ratio=_TEN_METERS,
            size_px=(90, 90),
            categorical=True,
        ),
    )
}

#: Columns of the authors' lists, by sample key.
LIST_COLUMNS = ('image_clear', 'image', 'image_sar', 'mask', 'mask_cloud')


#: Legends by level. Codes in no class (see :data:`UNKNOWN_CODES`) are ignored. Colors are those
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


def split_areas(areas: Iterable[str], split: str, val_share: float) -> set[str]:
    """Divide the areas of the training folder into those for training and for validation.

    Areas are ranked by a hash of their name and the first share of them, at least one, is for
    validation; an area is never in both. A single area is for training.

    Args:
        areas: names of the areas.
        split: ``train`` or ``val``.
        val_share: share of the areas that is for validation, 0 to 1.

    Returns:
        the areas of the split.
    """
    ranked = sorted(set(areas), key=_area_rank)
    count = round(val_share * len(ranked))
    count = min(max(count, 1 if val_share > 0 else 0), len(ranked) - 1) if ranked else 0
    return set(ranked[:count] if split == 'val' else ranked[count:])


def _area_rank(area: str) -> str:
    return hashlib.sha256(area.encode()).hexdigest()
