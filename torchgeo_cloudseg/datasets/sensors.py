"""Known sensors: how files name their bands, and what their stored values mean."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from .._choices import Range

#: What stands between the words of a file name or of the description of a band.
SEPARATORS = re.compile(r'[^0-9a-z]+')


class Band(NamedTuple):
    """A band of a sensor."""

    #: Name, as the product has it.
    name: str
    #: Common name, as STAC has it.
    color: str = ''
    #: Other ways to write the name, which mean no other band of another sensor.
    aliases: tuple[str, ...] = ()
    #: Names that tell the band only where the sensor is known.
    loose: tuple[str, ...] = ()
    #: Side of a pixel in meters.
    pixel_m: float = 10.0


@dataclass(frozen=True)
class Sensor:
    """A product of a sensor: its bands, and what its stored values mean."""

    #: Name by which it is known here, and name for people.
    name: str
    title: str
    kind: Literal['optical', 'sar']
    #: All bands, in the product's order.
    bands: tuple[Band, ...]
    #: Stored values that are brought to 0 and 1, by band; under '' those of all others.
    ranges: Mapping[str, tuple[float, float]]
    #: Stored values between which measurements lie.
    plausible: tuple[float, float]
    #: Pattern of file names and tags of the product, in small letters.
    pattern: str
    #: Stored value of pixels without data.
    nodata: float | None = None
    #: Reflectance or backscatter is scale * stored value + offset.
    scale: float = 1.0
    offset: float = 0.0
    #: Data types in which it is delivered (numpy names).
    dtypes: tuple[str, ...] = ('uint16',)
    #: Layers of the product that are no measurements: never bands of an image.
    others: tuple[str, ...] = ()
    #: The lowest usual value of an image lies below this.
    dark: float = float('inf')
    #: Whether other sensors name their bands differently.
    distinct: bool = True

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of all bands, in the product's order."""
        return tuple(band.name for band in self.bands)

    def find_band(self, text: str, loose: bool = True) -> str | None:
        """Name of the band that a file name or a description names.

        Args:
            text: such as ``B2``, ``blue`` or ``T32UQD_20200701T101559_B02_10m.jp2``.
            loose: accept names that other sensors have, too, such as ``blue``.

        Returns:
            the name of the band; None where there is none, or several.
        """
        words = _words(text)
        spelled: dict[str, str] = {}
        for band in self.bands:
            names = (band.name, *band.aliases, *((band.color, *band.loose) if loose else ()))
            spelled |= {_words(name): band.name for name in names if name}
        # the longest first: 'nir_narrow' is not 'nir'
        for name in sorted(spelled, key=len, reverse=True):
            if name in words:
                rest = words.replace(name, '_')
                again = {spelled[other] for other in spelled if other in rest}
                return spelled[name] if again <= {spelled[name]} else None
        return None

    def find_other(self, text: str) -> str | None:
        """The layer that is no measurement, which a file name or a description names."""
        return next((name for name in self.others if names_word(text, name)), None)

    def is_other(self, text: str) -> bool:
        """Whether a file name or a description names a layer that is no measurement."""
        return self.find_other(text) is not None

    def range_of(self, bands: Sequence[str]) -> Range:
        """Stored values that are brought to 0 and 1.

        Args:
            bands: names of bands.

        Returns:
            lower and upper ends: one for all of the bands, or one per band where they differ.
        """
        ends = [self.ranges.get(band) or self.ranges[''] for band in bands]
        low, high = zip(*(ends[:1] if len(set(ends)) == 1 else ends), strict=True)
        return low, high

    def rgb_of(self, bands: Iterable[str]) -> tuple[str, ...]:
        """Bands that are shown in red, green and blue.

        Args:
            bands: names of the bands that there are.

        Returns:
            three of them, or none.
        """
        there = set(bands)
        by_color = {band.color: band.name for band in self.bands if band.name in there}
        chosen = [by_color[color] for color in ('red', 'green', 'blue') if color in by_color]
        return tuple(chosen) if len(chosen) == 3 else ()


def names_word(text: str, word: str) -> bool:
    """Whether a word, or several, stands in a file name or a description.

    Args:
        text: the file name or description.
        word: the word; large and small letters, and what separates words, are the same.

    Returns:
        True where it stands there, not as a part of a longer word.
    """
    return _words(word) in _words(text)


@lru_cache(maxsize=4096)
def _words(text: str) -> str:
    """A file name or a description in small letters, its words between underscores."""
    name = re.split(r'[/\\]', text)[-1].lower()
    return f'_{SEPARATORS.sub("_", name).strip("_")}_'


def _sentinel2(left_out: str) -> tuple[Band, ...]:
    bands = (
        Band('B01', 'coastal', ('B1',), pixel_m=60),
        Band('B02', 'blue', ('B2',)),
        Band('B03', 'green', ('B3',)),
        Band('B04', 'red', ('B4',)),
        Band('B05', 'rededge071', ('B5',), ('rededge1', 'rededge 1'), 20),
        Band('B06', 'rededge075', ('B6',), ('rededge2', 'rededge 2'), 20),
        Band('B07', 'rededge078', ('B7',), ('rededge3', 'rededge 3'), 20),
        Band('B08', 'nir', ('B8',)),
        Band('B8A', 'nir08', ('B08A',), ('nir narrow', 'narrow nir'), 20),
        Band('B09', 'nir09', ('B9',), ('water vapour',), 60),
        Band('B10', 'cirrus', pixel_m=60),
        Band('B11', 'swir16', loose=('swir1', 'swir 1'), pixel_m=20),
        Band('B12', 'swir22', loose=('swir2', 'swir 2'), pixel_m=20),
    )
    return tuple(band for band in bands if band.name != left_out)


def _numbered(prefix: str, colors: Sequence[str], pixel_m: float) -> tuple[Band, ...]:
    numbers = enumerate(colors, start=1)
    return tuple(
        Band(f'{prefix}{i}', color, loose=(f'B{i}', f'B0{i}'), pixel_m=pixel_m)
        for i, color in numbers
    )


_PLANET = ('coastal_blue', 'blue', 'green_i', 'green', 'yellow', 'red', 'rededge', 'nir')
_PLANET_ALIASES = {'nir': ('near infrared',), 'rededge': ('red edge',), 'green_i': ('green i',)}
_POLARIZATIONS = tuple(Band(name) for name in ('VV', 'VH', 'HH', 'HV'))

#: Known sensors by name. Where the bands alone do not tell, the first that fits is taken.
SENSORS: Mapping[str, Sensor] = {
    sensor.name: sensor
    for sensor in (
        Sensor(
            'sentinel-2-l2a', 'Sentinel-2 L2A (surface reflectance)', 'optical',
            _sentinel2('B10'), {'': (0.0, 10000.0)}, (0.0, 20000.0),
            pattern=r'msil2a|[^0-9a-z]l2a|sentinel[-_ ]?2', nodata=0, scale=1e-4,
            dtypes=('uint16', 'int16'), others=('SCL', 'AOT', 'WVP', 'TCI', 'QA60', 'CLD', 'SNW'),
        ),
        Sensor(
            'sentinel-2-l1c', 'Sentinel-2 L1C (reflectance at the top of the atmosphere)',
            'optical', _sentinel2(''), {'': (0.0, 10000.0)}, (0.0, 28000.0),
            pattern=r'msil1c|[^0-9a-z]l1c', nodata=0, scale=1e-4,
            dtypes=('uint16', 'int16'), others=('TCI', 'QA60', 'CLOUDS'),
        ),
        # Collection 2: reflectance 0 and 1 are 7273 and 43636
        Sensor(
            'landsat-8-9-sr', 'Landsat 8/9 Collection 2 Level-2 (surface reflectance)', 'optical',
            _numbered('SR_B', ('coastal', 'blue', 'green', 'red', 'nir08', 'swir16', 'swir22'), 30),
            {'': (7273.0, 43636.0)}, (1.0, 65535.0), pattern=r'l[co]0[89]|landsat',
            nodata=0, scale=2.75e-5, offset=-0.2,
            others=('QA_PIXEL', 'QA_RADSAT', 'SR_QA_AEROSOL', 'ST_B10', 'ST_QA'),
        ),
        Sensor(
            'landsat-4-7-sr', 'Landsat 4/5/7 Collection 2 Level-2 (surface reflectance)', 'optical',
            _numbered('SR_B', ('blue', 'green', 'red', 'nir08', 'swir16', '', 'swir22'), 30),
            {'': (7273.0, 43636.0)}, (1.0, 65535.0), pattern=r'l[te]0[457]',
            nodata=0, scale=2.75e-5, offset=-0.2, distinct=False,
            others=('QA_PIXEL', 'QA_RADSAT', 'SR_ATMOS_OPACITY', 'SR_CLOUD_QA', 'ST_B6', 'ST_QA'),
        ),
        Sensor(
            'planetscope-sr', 'PlanetScope (surface reflectance)', 'optical',
            tuple(Band(name, name, _PLANET_ALIASES.get(name, ()), (), 3) for name in _PLANET),
            {'': (0.0, 10000.0)}, (0.0, 20000.0),
            pattern=r'analyticms|analytic_sr|psscene|planet|superdove', nodata=0, scale=1e-4,
            others=('UDM', 'UDM2'), distinct=False,
        ),
        Sensor(
            'sentinel-1-db', 'Sentinel-1 backscatter in dB', 'sar', _POLARIZATIONS,
            {'': (-25.0, 0.0), 'VH': (-32.5, 0.0), 'HV': (-32.5, 0.0)}, (-70.0, 40.0),
            pattern=r's1[abcd]|sentinel[-_ ]?1', dtypes=('float32', 'float64'), others=('angle',),
            dark=-1.0,
        ),
        Sensor(
            'sentinel-1-linear', 'Sentinel-1 backscatter, linear', 'sar', _POLARIZATIONS,
            {'': (0.0, 0.5), 'VH': (0.0, 0.1), 'HV': (0.0, 0.1)}, (0.0, 10000.0),
            pattern=r's1[abcd]|sentinel[-_ ]?1', dtypes=('float32', 'float64'), others=('angle',),
        ),
    )
}  # fmt: skip


class Recognized(NamedTuple):
    """A sensor, and which of its bands there are."""

    sensor: Sensor
    #: Name of the band for each description or file name; None for what is no measurement.
    bands: tuple[str | None, ...]


def recognize_sensor(
    texts: Sequence[str],
    hints: str = '',
    values: tuple[float, float] | None = None,
    kind: Literal['optical', 'sar'] | None = None,
) -> Recognized | None:
    """Tell from names which sensor took an image.

    Args:
        texts: description of each band, or the name of the file that holds it.
        hints: names of files and tags, which may tell the sensor.
        values: lowest and highest usual value, where pixels were looked at: backscatter in dB is
            negative, linear backscatter is not.
        kind: what the image is, where that is known.

    Returns:
        the sensor and its bands; None where names do not tell, or fit no sensor.
    """
    ranked: list[tuple[bool, int, Recognized]] = []
    for sensor in SENSORS.values():
        certain = bool(re.search(sensor.pattern, hints.lower()))
        wrong_kind = kind is not None and sensor.kind != kind
        if wrong_kind or not (certain or sensor.distinct) or not _may_be(sensor, values):
            continue
        others = [sensor.is_other(text) for text in texts]
        bands = tuple(
            None if other else sensor.find_band(text, certain)
            for text, other in zip(texts, others, strict=True)
        )
        found = [band for band, other in zip(bands, others, strict=True) if not other]
        if found and None not in found and len(set(found)) == len(found):
            pairs = zip(texts, bands, strict=True)
            exact = sum(names_word(text, str(band)) for text, band in pairs)
            ranked.append((certain, exact, Recognized(sensor, bands)))
    # of equals, the first
    return max(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def _may_be(sensor: Sensor, values: tuple[float, float] | None) -> bool:
    """Whether values can be those of a sensor."""
    if values is None:
        return True
    low, high = values
    return sensor.plausible[0] <= low < sensor.dark and high <= sensor.plausible[1]
