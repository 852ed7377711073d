"""Miniature OMBRIA: procedural floods in the real data set's layout and encoding."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._files import replacing
from .atmosphere import add_clouds
from .covers import INDEX
from .fields import Array, draw_field
from .landscape import Landscape, draw_landscape
from .sensors import backscatter_db, reflectance

#: Side of a pixel in meters.
PIXEL_M = 20.0

#: Floods: their fold, and whether clouds lie over them.
EVENTS: Mapping[str, tuple[str, bool]] = {
    'A': ('train', False),
    'B': ('train', True),
    'C': ('val', False),
    'D': ('test', True),
    'E': ('test', False),
}

SHARES = {'forest': 0.2, 'grassland': 0.15, 'village': 0.05, 'bare': 0.06, 'water': 0.08}

#: Size of a flood in meters.
FLOOD_M = 400.0


def write_miniature_ombria(
    root: str | Path, *, seed: int = 0, places_per_event: int = 4, size_px: int = 128
) -> Path:
    """Write miniature OMBRIA: real 8-bit PNG files in the real layout, masks of clouds, and folds.

    Args:
        root: folder to write to.
        seed: seed of the landscapes, 0 or greater.
        places_per_event: places of each flood.
        size_px: height and width of a place.

    Returns:
        *root*.

    Example:
        >>> root = write_miniature_ombria(folder, places_per_event=1, size_px=64)
        >>> len(list(root.glob('OmbriaS1/train/MASK/*.png')))
        3
    """
    root = Path(root)
    rows: list[dict[str, str]] = []
    for event, (fold, cloudy) in EVENTS.items():
        for _ in range(places_per_event):
            number = len(rows) + 1
            rows.append({'id': str(number), 'event': event, 'fold': fold})
            rng = np.random.default_rng((seed, number))
            part = 'test' if fold == 'test' else 'train'
            for name, pixels in _place(rng, size_px, cloudy).items():
                path = root / name.format(part=part, number=number)
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as draft:
                    Image.fromarray(pixels).save(draft, format='PNG')
    with replacing(root / 'split.json') as draft:
        draft.write_text(json.dumps(rows, indent=1) + '\n')
    return root


def _place(rng: np.random.Generator, size_px: int, cloudy: bool) -> dict[str, NDArray[Any]]:
    """Images of a place by path."""
    shape = size_px, size_px
    before = draw_landscape(rng, shape, PIXEL_M, SHARES)
    water = before.cover == INDEX['water']
    flood = (draw_field(rng, shape, FLOOD_M / PIXEL_M) > 0.5) & ~water
    after = before._replace(
        cover=np.where(flood, np.uint8(INDEX['water']), before.cover), road=before.road & ~flood
    )
    clear = reflectance(rng, after, PIXEL_M)
    seen, clouds = add_clouds(rng, clear) if cloudy else (clear, np.zeros(shape, bool))
    optical, sar = 'OmbriaS2/{part}/', 'OmbriaS1/{part}/'
    return {
        optical + 'AFTER/S2_after_{number:04}.png': _optical(seen),
        optical + 'BEFORE/S2_before_{number:04}.png': _optical(reflectance(rng, before, PIXEL_M)),
        sar + 'AFTER/S1_after_{number:04}.png': _sar(rng, after),
        sar + 'BEFORE/S1_before_{number:04}.png': _sar(rng, before),
        sar + 'MASK/S1_mask_{number:04}.png': flood * np.uint8(255),
        'clouds/{number}.png': clouds,
    }


def _optical(bands: Array) -> NDArray[np.uint8]:
    """B11, B8 and B3 as a color image; the first is made of red and near infrared."""
    _, green, red, infrared = bands
    image = np.stack([0.6 * red + 0.5 * infrared, infrared, green], axis=-1)
    return _bytes(np.maximum(image, 1 / 255))


def _sar(rng: np.random.Generator, land: Landscape) -> NDArray[np.uint8]:
    """VV, stretched from its least to its largest value."""
    vv = backscatter_db(rng, land, PIXEL_M)[0]
    return _bytes((vv - vv.min()) / np.ptp(vv))


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values from 0 to 1 as 8-bit numbers."""
    stored: NDArray[np.uint8] = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    return stored
