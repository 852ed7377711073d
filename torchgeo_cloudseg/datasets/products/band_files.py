"""Bands that lie in files of their own: B02.tif, B03.tif; VV.tif, VH.tif."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from ...rasters import Band, SceneError, band_stack, name_of, read_header
from ..sensors import SENSORS, Sensor, recognize_sensor
from .found import Faults, FoundImage, day_in, found_or_broken

#: Masks and pictures that come with scenes, and are none themselves.
BESIDE = re.compile(r'(^|[_.-])(udm2?|qa_pixel|qa_radsat|sr_qa_aerosol|tci|scl|preview)([_.-]|$)')

#: Resolutions in names, which differ between the bands of one image.
RESOLUTION = re.compile(r'\d{1,2}m')


class BandName(NamedTuple):
    """What the name of a file says of the band in it."""

    path: str
    #: Words of the name that are the band's, and all others.
    band: str
    rest: tuple[str, ...]


def is_beside(path: str) -> bool:
    """Whether a file is a mask or a picture that comes with a scene."""
    return bool(BESIDE.search(Path(name_of(path)).stem.lower()))


def grouped(paths: Sequence[str], faults: Faults | None = None) -> list[FoundImage]:
    """Put files of single bands together as images; other files are images themselves.

    Args:
        paths: files, addresses or other names that GDAL knows.
        faults: where to put what is wrong with an image; None to raise it.

    Returns:
        the images, in the order of their first files.

    Raises:
        SceneError: if files that make an image cannot be opened, or do not lie upon each other.
    """
    named = {path: _band_of(path) for path in paths}
    groups: dict[object, list[BandName]] = {}
    for path, band in named.items():
        key = (Path(name_of(path)).parent, band.rest) if band else path
        groups.setdefault(key, []).append(band or BandName(path, '', ()))
    found: list[FoundImage] = []
    for group in groups.values():
        bands = {entry.band for entry in group}
        if len(group) > 1 and len(bands) == len(group) and all(map(_is_single, group)):
            first = group[0].path
            stand_in = FoundImage(first, _name(group), day=day_in(first))
            found += found_or_broken(partial(_stacks, group), stand_in, faults)
        else:
            found += [FoundImage.of_file(entry.path) for entry in group]
    return found


def stacked(group: Sequence[BandName], sensor: Sensor | None = None) -> FoundImage:
    """One image of files of single bands.

    Args:
        group: the files.
        sensor: which sensor took it, where that is known.

    Returns:
        the image, whose bands have their names.
    """
    first = Path(name_of(group[0].path))
    hints = f'{first.stem} {first.parent.name}'
    recognized = None if sensor else recognize_sensor([entry.band for entry in group], hints)
    sensor = recognized.sensor if recognized else sensor
    named = [
        ((sensor.find_band(entry.band) if sensor else None) or entry.band, entry) for entry in group
    ]
    if sensor:
        order = sensor.band_names
        named.sort(key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))
    path = band_stack([Band(entry.path, name=name) for name, entry in named])
    return FoundImage(path, _name(group), sensor.kind if sensor else '', day_in(hints))


def _stacks(group: Sequence[BandName]) -> list[FoundImage]:
    return [stacked(group)]


def _name(group: Sequence[BandName]) -> str:
    """What to call an image; where the file names say no more than the band, the folder tells."""
    first = Path(name_of(group[0].path))
    return '_'.join(group[0].rest) or first.parent.name or first.stem


def _band_of(path: str) -> BandName | None:
    """The band that the name of a file names, if there is just one."""
    words = [word for word in re.split(r'[^A-Za-z0-9]+', Path(name_of(path)).stem) if word]
    for count in (2, 1):
        places = [
            place
            for place in range(len(words) - count + 1)
            if _is_band(' '.join(words[place : place + count]))
        ]
        if len(places) == 1:
            place = places[0]
            rest = [*words[:place], *words[place + count :]]
            kept = tuple(word for word in rest if not RESOLUTION.fullmatch(word))
            return BandName(path, ' '.join(words[place : place + count]), kept)
    return None


def _is_band(words: str) -> bool:
    """Whether words are the whole name of a band of any sensor."""
    return words.lower().replace(' ', '_') in _band_names()


@lru_cache
def _band_names() -> frozenset[str]:
    """All ways to write the name of a band."""
    bands = (band for sensor in SENSORS.values() for band in sensor.bands)
    names = (name for b in bands for name in (b.name, b.color, *b.aliases, *b.loose) if name)
    return frozenset(re.sub(r'[^0-9a-z]+', '_', name.lower()) for name in names)


def _is_single(entry: BandName) -> bool:
    try:
        return len(read_header(entry.path).color_bands) == 1
    except SceneError:
        # who reads it will say what is wrong
        return False
