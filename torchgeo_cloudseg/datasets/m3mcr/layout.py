"""Facts about M3M-CR: its layers, classes, seasons and folders."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ...index import Layer, by_key
from ..legend import LandCoverClass

_PLANET: Mapping[str, Any] = {
    'bands': ('Blue', 'Green', 'Red', 'NIR'),
    'dtypes': ('uint16',),
    'size_px': (300, 300),
    'nodata': 0,
}
_TEN_METERS: Mapping[str, Any] = {'ratio': Fraction(3, 10), 'size_px': (90, 90)}
#: The authors' code replaces NaN by the mean of both bands.
_SAR: Mapping[str, Any] = {'may_be_nan': True, 'joint_mean': True}
_CLOUDS: Mapping[str, Any] = {'size_px': (300, 300), 'suffix': '.npy', 'categorical': True}

#: The five modalities by sample key. Sizes, types and units were read off real patches.
LAYERS: Mapping[str, Layer] = by_key(
    Layer('image', 'planet_cloudy', **_PLANET),
    Layer('image_clear', 'planet_cloudfree', **_PLANET),
    Layer('image_sar', 'S1', ('VV', 'VH'), ('float64', 'float32'), **_SAR, **_TEN_METERS),
    Layer('mask_cloud', 'cloudmask', ('cloud',), ('bool',), **_CLOUDS),
    Layer('mask', 'landcover', ('class',), ('uint8',), categorical=True, **_TEN_METERS),
)

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
