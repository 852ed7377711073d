"""What optical and SAR sensors see of a landscape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .covers import COVERS, GARDEN, INDEX, STREET, STUBBLE
from .fields import Array, smooth_field
from .landscape import Landscape, hashed_numbers

#: Distance between streets and size of a house with its garden in meters.
STREET_M = {'city': 90.0, 'village': 70.0}
HOUSE_M = {'city': 26.0, 'village': 17.0}
STREET_WIDTH_M = 9.0

#: Share of the plots that are green.
GREEN_PLOTS = {'city': 0.12, 'village': 0.42}

#: Number of looks of the SAR image.
LOOKS = 5.0


def reflectance(rng: np.random.Generator, land: Landscape) -> Array:
    """Surface reflectance of a landscape.

    Args:
        rng: source of randomness.
        land: the landscape.

    Returns:
        blue, green, red and near infrared, (4, H, W), 0 to 1.
    """
    shape = (land.cover.shape[0], land.cover.shape[1])
    image = np.array([cover.reflectance for cover in COVERS], np.float32).T[:, land.cover]
    _ripen(image, land)
    for name in STREET_M:
        _build(rng, image, land, name)
    image[:, land.road] = np.array(COVERS[INDEX['road']].reflectance, np.float32)[:, None]

    texture = np.array([cover.texture for cover in COVERS], np.float32)[land.cover]
    grain = smooth_field(rng, shape, max(9 / land.pixel_m, 2))
    tone = smooth_field(rng, shape, 150 / land.pixel_m)
    image *= (1 + texture * grain + 0.05 * tone) * land.shade
    image = _blurred(image)
    image *= 1 + 0.015 * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image, 0.002, 1)


def backscatter_db(rng: np.random.Generator, land: Landscape) -> NDArray[np.float64]:
    """Radar backscatter of a landscape, with speckle.

    Args:
        rng: source of randomness.
        land: the landscape on the grid of the SAR image.

    Returns:
        VV and VH in dB, (2, H, W).
    """
    shape = (land.cover.shape[0], land.cover.shape[1])
    db = np.array([cover.backscatter_db for cover in COVERS]).T[:, land.cover]
    rough = np.array([cover.roughness_db for cover in COVERS])[land.cover]
    db += rough * smooth_field(rng, shape, max(25 / land.pixel_m, 2))
    # crops differ from parcel to parcel, and slopes that face the sensor are brighter
    db += 2.4 * (land.parcel - 0.5) * (land.cover == INDEX['cropland'])
    db += 6 * (land.shade - 1)
    db[:, land.road] = np.array(COVERS[INDEX['road']].backscatter_db)[:, None]
    speckle = rng.gamma(LOOKS, 1 / LOOKS, db.shape)
    db += 10 * np.log10(np.maximum(speckle, 1e-3))
    return db


def _ripen(image: Array, land: Landscape) -> None:
    """Let parcels of cropland differ in how green they are, with paths in between."""
    crops = land.cover == INDEX['cropland']
    stage = land.parcel[crops]
    # most parcels are green, a few are as good as harvested
    ripe = 0.85 * stage**3
    stubble = np.array(STUBBLE, np.float32)[:, None]
    image[:, crops] += (stubble - image[:, crops]) * ripe
    image[:, crops] *= 0.86 + 0.28 * np.modf(7 * stage)[0]


def _build(rng: np.random.Generator, image: Array, land: Landscape, name: str) -> None:
    """Put houses, gardens and streets where there is built-up land."""
    built = land.cover == INDEX[name]
    if not built.any():
        return
    along, across = land.along_m[built], land.across_m[built]
    rows = np.floor(along / HOUSE_M[name]).astype(np.int64)
    cols = np.floor(across / HOUSE_M[name]).astype(np.int64)
    plot = hashed_numbers(rng, rows, cols)
    roofs = image[:, built] * (0.78 + 0.44 * hashed_numbers(rng, rows, cols))
    garden = np.array(GARDEN, np.float32)[:, None]
    roofs = np.where(plot < GREEN_PLOTS[name], garden, roofs)
    street = (np.mod(along, STREET_M[name]) < STREET_WIDTH_M) | (
        np.mod(across, 1.4 * STREET_M[name]) < STREET_WIDTH_M
    )
    image[:, built] = np.where(street, np.array(STREET, np.float32)[:, None], roofs)


def _blurred(image: Array) -> Array:
    """The image through optics that blur edges over a pixel."""
    for axis in (1, 2):
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[axis] = (1, 1)
        wide = np.pad(image, padding, mode='edge')
        size = image.shape[axis]
        before, after = (np.take(wide, range(i, i + size), axis) for i in (0, 2))
        image = np.float32(0.5) * image + np.float32(0.25) * (before + after)
    return image
