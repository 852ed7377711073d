"""Clouds over a landscape, with the statistics of real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fields import Array, power_law_field

#: Exponent of the energy spectrum of cloud thickness, read off real patches.
SPECTRAL_SLOPE = -2.7

#: Size above which clouds have no more structure, in pixels.
OUTER_PX = 300.0

#: Share of each patch that is under clouds.
COVER_RANGE = (0.22, 0.58)

#: Reflectance of an opaque cloud, and its relative variation between bands.
CLOUD_REFLECTANCE = (0.62, 0.76)
BAND_VARIATION = 0.02

#: Optical depth is this times the height above the cloud's edge, in standard deviations of the
#: field, to this power: most of a cloud is thin.
DEPTH_SCALE, DEPTH_POWER = 0.95, 1.4

#: Opacity of the haze between the clouds.
HAZE_RANGE = (0.0, 0.06)

#: Displacement of the shadow in pixels, and the light that it takes at most.
SHADOW_PX = (18, 36)
SHADOW_STRENGTH = 0.5


@dataclass(frozen=True)
class Clouded:
    """A landscape under clouds."""

    #: Reflectance (4, H, W), 0 to 1.
    image: Array
    #: Where there are clouds, (H, W).
    mask: NDArray[np.bool_]
    #: Opacity of clouds and haze (H, W), 0 to 1.
    alpha: Array


def add_clouds(rng: np.random.Generator, clear: Array, patch_px: int) -> Clouded:
    """Draw clouds and their shadows over a cloud-free image, on another day.

    Args:
        rng: source of randomness.
        clear: reflectance (4, H, W), 0 to 1; height and width are multiples of *patch_px*.
        patch_px: side of the squares whose cloud cover lies in :data:`COVER_RANGE`.

    Returns:
        the cloudy image, the cloud mask and the opacity.
    """
    height, width = clear.shape[1:]
    margin = SHADOW_PX[1]
    sun = rng.uniform(0, 2 * np.pi)
    length = rng.uniform(*SHADOW_PX)
    down, right = margin + round(length * np.sin(sun)), margin + round(length * np.cos(sun))
    here = np.s_[margin : margin + height, margin : margin + width]
    there = np.s_[down : down + height, right : right + width]

    field = power_law_field(
        rng, (height + 2 * margin, width + 2 * margin), SPECTRAL_SLOPE, OUTER_PX
    )
    edge = _edge(rng, field[here], patch_px)
    above = np.maximum(field - np.pad(edge, margin, mode='edge'), 0)
    opacity = 1 - np.exp(-DEPTH_SCALE * above**DEPTH_POWER)
    haze = np.float32(rng.uniform(*HAZE_RANGE))
    alpha = 1 - (1 - opacity[here]) * (1 - haze)

    day = 1 + 0.04 * rng.standard_normal((4, 1, 1), dtype=np.float32)
    ground = clear * day * (1 - SHADOW_STRENGTH * opacity[there])
    bands = 1 + BAND_VARIATION * rng.standard_normal((4, 1, 1), dtype=np.float32)
    cloud = np.float32(rng.uniform(*CLOUD_REFLECTANCE)) * bands
    image = np.clip(ground * (1 - alpha) + cloud * alpha, 0.002, 1)
    return Clouded(image, above[here] > 0, alpha)


def _edge(rng: np.random.Generator, field: Array, patch_px: int) -> Array:
    """Surface above which the field is cloud, so that each patch has a cover of its own."""
    rows, cols = field.shape[0] // patch_px, field.shape[1] // patch_px
    cover = rng.uniform(*COVER_RANGE, (rows, cols))
    level = np.zeros((rows, cols), np.float32)
    surface = np.zeros_like(field)
    # the surface runs smoothly between patches: a few rounds settle what that does to the cover
    for _ in range(5):
        excess = (field - surface).reshape(rows, patch_px, cols, patch_px).swapaxes(1, 2)
        for index in np.ndindex(rows, cols):
            level[index] += np.quantile(excess[index], 1 - cover[index])
        surface = _interpolated(level, patch_px)
    return surface


def _interpolated(level: Array, patch_px: int) -> Array:
    """Numbers at the centers of patches, linear in between."""
    for axis in (0, 1):
        size = level.shape[axis]
        position = (np.arange(size * patch_px, dtype=np.float32) + 0.5) / patch_px - 0.5
        position = np.clip(position, 0, size - 1)
        low = np.minimum(position.astype(int), max(size - 2, 0))
        high = np.minimum(low + 1, size - 1)
        weight = np.expand_dims(position - low, 1 - axis)
        level = np.take(level, low, axis) * (1 - weight) + np.take(level, high, axis) * weight
    return level.astype(np.float32)
