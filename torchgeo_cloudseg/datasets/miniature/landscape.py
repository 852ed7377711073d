"""A procedural landscape: land cover, its reflectance and its backscatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cover:
    """How a kind of land cover looks.

    Some kinds look alike to one sensor and not to the other: built-up and bare land in the optical
    image, cropland and grassland, and water and bare land, in the SAR image.
    """

    #: Stored label code.
    code: int
    #: Share of the landscape, 0 to 1.
    share: float
    #: Surface reflectance in blue, green, red and near infrared.
    reflectance: tuple[float, float, float, float]
    #: Relative variation of reflectance from pixel to pixel.
    texture: float
    #: Backscatter in VV and VH, dB.
    backscatter_db: tuple[float, float]
    #: Typical extent in pixels of the 10 m grid.
    extent_px: float


#: Land cover with the codes of ESA WorldCover. The first one fills what the others leave.
WORLD_COVER: tuple[Cover, ...] = (
    Cover(40, 0.29, (0.045, 0.085, 0.055, 0.36), 0.10, (-11.0, -17.5), 20),
    Cover(10, 0.22, (0.030, 0.055, 0.035, 0.29), 0.20, (-8.0, -13.5), 18),
    Cover(30, 0.13, (0.070, 0.100, 0.120, 0.22), 0.12, (-11.5, -18.0), 16),
    Cover(20, 0.05, (0.060, 0.090, 0.105, 0.20), 0.18, (-11.0, -17.0), 12),
    Cover(50, 0.11, (0.130, 0.150, 0.170, 0.22), 0.25, (-4.0, -11.0), 14),
    Cover(60, 0.10, (0.135, 0.160, 0.185, 0.235), 0.06, (-15.5, -23.0), 14),
    Cover(80, 0.08, (0.050, 0.055, 0.040, 0.025), 0.05, (-18.0, -25.0), 22),
    Cover(95, 0.01, (0.035, 0.060, 0.040, 0.24), 0.15, (-9.0, -14.5), 8),
    Cover(0, 0.01, (0.120, 0.140, 0.150, 0.20), 0.10, (-12.0, -19.0), 8),
)


def random_field(rng: np.random.Generator, shape: tuple[int, int], extent_px: float) -> Array:
    """Smooth Gaussian random field.

    Args:
        rng: source of randomness.
        shape: height and width.
        extent_px: typical extent of a bump in pixels.

    Returns:
        field of mean 0 and standard deviation 1.
    """
    ky = np.fft.fftfreq(shape[0])[:, None]
    kx = np.fft.rfftfreq(shape[1])[None, :]
    smooth = np.exp(-0.5 * (ky**2 + kx**2) * (2 * np.pi * extent_px / 4) ** 2)
    return _standardised(np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * smooth, shape))


def power_law_field(rng: np.random.Generator, shape: tuple[int, int], slope: float) -> Array:
    """Gaussian random field without a scale of its own, such as clouds.

    Args:
        rng: source of randomness.
        shape: height and width.
        slope: exponent of the energy spectrum E(k), such as -2.7.

    Returns:
        field of mean 0 and standard deviation 1.
    """
    ky = np.fft.fftfreq(shape[0])[:, None]
    kx = np.fft.rfftfreq(shape[1])[None, :]
    k = np.hypot(ky, kx)
    k[0, 0] = np.inf
    # E(k) sums the power over a ring of circumference 2 pi k
    amplitude = k ** ((slope - 1) / 2)
    return _standardised(np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * amplitude, shape))


def land_cover(
    rng: np.random.Generator, shape: tuple[int, int], covers: Sequence[Cover] = WORLD_COVER
) -> NDArray[np.uint8]:
    """Draw a map of land cover.

    Each kind but the first takes its share where a random field of its own is highest; water takes
    the zero lines of its field, which wind like rivers. Later kinds lie over earlier ones.

    Args:
        rng: source of randomness.
        shape: height and width in pixels of the label grid.
        covers: kinds of land cover.

    Returns:
        uint8 map of label codes.
    """
    codes = np.full(shape, covers[0].code, np.uint8)
    for cover in covers[1:]:
        field = random_field(rng, shape, cover.extent_px)
        if cover.extent_px > 20:
            field = -np.abs(field)
        codes[field > np.quantile(field, 1 - cover.share)] = cover.code
    return codes


def reflectance(
    rng: np.random.Generator,
    codes: NDArray[np.uint8],
    covers: Sequence[Cover] = WORLD_COVER,
    parcel_px: int = 40,
) -> Array:
    """Reflectance of a landscape: spectra of the land cover, parcels, relief and texture.

    Args:
        rng: source of randomness.
        codes: label codes (H, W) on the optical grid.
        covers: kinds of land cover.
        parcel_px: side of a parcel of farmland in pixels.

    Returns:
        reflectance (4, H, W), 0 to 1.
    """
    shape = (codes.shape[0], codes.shape[1])
    spectra = _by_code(codes, {cover.code: cover.reflectance for cover in covers})
    texture = _by_code(codes, {cover.code: (cover.texture,) for cover in covers})
    grain = random_field(rng, shape, 2.5)
    relief = 0.06 * random_field(rng, shape, 120)
    parcels = _parcels(rng, shape, parcel_px)
    brightness = 1 + texture * grain + relief + 0.10 * parcels
    # parcels differ in how green they are, too
    tint = np.stack([0.04 * parcels, 0.02 * parcels, 0.06 * parcels, -0.08 * parcels])
    noise = 0.015 * rng.standard_normal((4, *shape))
    image: Array = np.clip(spectra * (brightness + tint + noise), 0.002, 1)
    return image


def backscatter_db(
    rng: np.random.Generator,
    codes: NDArray[np.uint8],
    covers: Sequence[Cover] = WORLD_COVER,
    looks: float = 5.0,
) -> Array:
    """Backscatter of a landscape with speckle.

    Args:
        rng: source of randomness.
        codes: label codes (h, w) on the SAR grid.
        covers: kinds of land cover.
        looks: number of looks; speckle is gamma distributed with this shape.

    Returns:
        VV and VH in dB, (2, h, w).
    """
    mean = _by_code(codes, {cover.code: cover.backscatter_db for cover in covers})
    slow = 0.8 * random_field(rng, (codes.shape[0], codes.shape[1]), 10)
    speckle = rng.gamma(looks, 1 / looks, mean.shape)
    db: Array = mean + slow + 10 * np.log10(np.maximum(speckle, 1e-3))
    return db


def _by_code(codes: NDArray[np.uint8], values: Mapping[int, Sequence[float]]) -> Array:
    """Values of each pixel's land cover, (C, H, W)."""
    table = np.zeros((256, len(next(iter(values.values())))))
    for code, value in values.items():
        table[code] = value
    return np.moveaxis(table[codes], -1, 0)


def _parcels(rng: np.random.Generator, shape: tuple[int, int], size_px: int) -> Array:
    """One random number per parcel of a bent chequerboard, (H, W)."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(float)
    angle = rng.uniform(0, np.pi)
    bend = 0.4 * size_px
    u = x * np.cos(angle) + y * np.sin(angle) + bend * random_field(rng, shape, 150)
    v = y * np.cos(angle) - x * np.sin(angle) + bend * random_field(rng, shape, 150)
    rows, cols = (u // size_px).astype(int) % 64, (v // (1.6 * size_px)).astype(int) % 64
    numbers: Array = rng.standard_normal((64, 64))[rows, cols]
    return numbers


def _standardised(field: Array) -> Array:
    centred: Array = field - field.mean()
    return centred / max(float(centred.std()), 1e-12)
