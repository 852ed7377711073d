"""Which bands of a file a network looks at: by their names, where both know them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..rasters import SceneError
from .sensors import SENSORS, recognize_sensor

#: Common names that do where a sensor has no other band of that color.
NEAR = {'nir': ('nir08',), 'nir08': ('nir',), 'swir1': ('swir16',), 'swir2': ('swir22',)}


def choose_bands(
    path: str, described: Sequence[str | None], names: Sequence[str]
) -> tuple[int, ...] | None:
    """Find the bands that a network was trained on.

    Args:
        path: the file.
        described: what it calls its bands.
        names: what the network calls its bands.

    Returns:
        numbers in the file, counted from 1, where it calls bands as the network does, or as a
        sensor whose bands see the same colors; None where it does not.

    Raises:
        SceneError: if the file names some of the bands, and not the others.
    """
    found = [_find(name, described) for name in names]
    known = tuple(number for number in found if number)
    if len(known) == len(names) and len(set(known)) == len(known):
        return known
    if len(set(known)) < 2:
        # one may be called alike by chance
        return None
    missing = [name for name, number in zip(names, found, strict=True) if not number]
    raise SceneError(
        path,
        f'the bands {[text for text in described if text]}',
        f'those of the training, {list(names)}, of which there is no {missing or "second one"}',
        'Give an image that has them, or say which bands they are by number (--optical_bands, '
        '--sar_bands).',
    )


def _find(name: str, described: Sequence[str | None]) -> int:
    """Number of a band, counted from 1; 0 where there is none."""
    texts = [text or '' for text in described]
    plain = [_plain(text) for text in texts]
    if _plain(name) in plain:
        return plain.index(_plain(name)) + 1
    recognized = recognize_sensor(texts) or recognize_sensor(texts, ' '.join(texts))
    if recognized:
        bands = {band.name: band for band in recognized.sensor.bands}
        colors = [bands[band].color if band else '' for band in recognized.bands]
    else:
        colors = plain
    wanted = _colors(name)
    near = [other for color in wanted for other in NEAR.get(color, ())]
    for color in (*wanted, *near):
        if color and color in colors:
            return colors.index(color) + 1
    return 0


def _colors(name: str) -> list[str]:
    """Common names that a name may stand for: its own, or that of a sensor's band."""
    plain = _plain(name)
    known = [
        band.color
        for sensor in SENSORS.values()
        for band in sensor.bands
        if plain in map(_plain, (band.name, *band.aliases))
    ]
    return [plain, *known[:1]]


def _plain(text: str) -> str:
    return re.sub(r'[^0-9a-z]', '', text.lower())
