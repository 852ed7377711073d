"""What optical and SAR sensors see of a landscape."""

from __future__ import annotations

import numpy as np
import torch
from kornia.filters import gaussian_blur2d
from numpy.typing import NDArray

from . import covers
from .fields import Array, draw_field
from .landscape import STREET_M, Landscape, cells

#: Built-up land: size of a house with its garden in meters, and the share of plots without houses.
PLOTS = {'city': (26.0, 0.12), 'village': (17.0, 0.42)}
STREET_WIDTH_M = 9.0

#: Number of looks of the SAR image.
LOOKS = 5.0


def reflectance(rng: np.random.Generator, land: Landscape, pixel_m: float) -> Array:
    """Surface reflectance of a landscape.

    Args:
        rng: source of randomness.
        land: the landscape.
        pixel_m: side of its pixels in meters.

    Returns:
        blue, green, red and near infrared, (4, H, W), 0 to 1.
    """
    shape = land.cover.shape
    image = covers.REFLECTANCE[:, land.cover]
    # parcels differ in how green they are: most are, a few are as good as harvested
    crops = land.cover == covers.INDEX['cropland']
    stage = land.parcel[crops]
    image[:, crops] += (covers.STUBBLE - image[:, crops]) * 0.85 * stage**3
    image[:, crops] *= 0.86 + 0.28 * (7 * stage % 1)
    for name, (plot_m, green) in PLOTS.items():
        built = land.cover == covers.INDEX[name]
        along, across = land.along_m[built], land.across_m[built]
        if built.any():
            plot = cells(along / plot_m, across / plot_m)
            brightness, kind = rng.random((2, plot.max() + 1))[:, plot]
            houses = image[:, built] * (0.78 + 0.44 * brightness)
            houses = np.where(kind < green, covers.GARDEN, houses)
            street = np.minimum(along % STREET_M, across % (1.4 * STREET_M)) < STREET_WIDTH_M
            image[:, built] = np.where(street, covers.STREET, houses)
    image[:, land.road] = covers.REFLECTANCE[:, [covers.INDEX['road']]]

    grain = covers.TEXTURE[land.cover] * draw_field(rng, shape, max(7 / pixel_m, 2))
    image *= (1 + grain + 0.05 * draw_field(rng, shape, 110 / pixel_m)) * land.shade
    # through optics that blur edges over a pixel
    sharp = torch.from_numpy(image.astype(np.float32))[None]
    seen: Array = gaussian_blur2d(sharp, (3, 3), (0.85, 0.85), 'replicate')[0].numpy()
    noise = 0.015 * rng.standard_normal(seen.shape, np.float32)
    return np.clip(seen * (1 + noise), 0.002, 1)


def backscatter_db(
    rng: np.random.Generator, land: Landscape, pixel_m: float
) -> NDArray[np.float64]:
    """Radar backscatter of a landscape, with speckle.

    Args:
        rng: source of randomness.
        land: the landscape on the grid of the SAR image.
        pixel_m: side of its pixels in meters.

    Returns:
        VV and VH in dB, (2, H, W).
    """
    db: NDArray[np.float64] = covers.BACKSCATTER_DB[:, land.cover]
    db += covers.ROUGHNESS_DB[land.cover] * draw_field(rng, land.cover.shape, max(18 / pixel_m, 2))
    # crops differ from parcel to parcel, and slopes that face the sensor are brighter
    crops = land.cover == covers.INDEX['cropland']
    db += 2.4 * (land.parcel - 0.5) * crops + 6 * (land.shade - 1)
    db[:, land.road] = covers.BACKSCATTER_DB[:, [covers.INDEX['road']]]
    speckle = rng.gamma(LOOKS, 1 / LOOKS, db.shape)
    db += 10 * np.log10(np.maximum(speckle, 1e-3))
    return db
