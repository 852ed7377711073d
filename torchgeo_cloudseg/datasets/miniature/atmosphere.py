"""Clouds over a landscape, with the statistics of real ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .landscape import Array, power_law_field

#: Exponent of the energy spectrum of cloud thickness, read off real patches.
SPECTRAL_SLOPE = -2.7

#: Share of an image under clouds.
COVER_RANGE = (0.25, 0.6)

#: Reflectance of the thickest clouds, and its variation between bands.
CLOUD_REFLECTANCE = (0.55, 0.74)
BAND_VARIATION = 0.03

#: Optical depth at one standard deviation of thickness above the cloud's edge.
OPTICAL_DEPTH = 1.6

#: Displacement of shadows in pixels (rows, columns) and how much light they take.
SHADOW_OFFSET_PX = (35, 22)
SHADOW_STRENGTH = 0.55


class Clouded(NamedTuple):
    """A landscape under clouds."""

    #: Reflectance (4, H, W), 0 to 1.
    image: Array
    #: Where there are clouds, (H, W).
    mask: NDArray[np.bool_]
    #: Opacity of the clouds (H, W), 0 to 1.
    alpha: Array


def add_clouds(rng: np.random.Generator, clear: Array) -> Clouded:
    """Draw clouds and their shadows over a cloud-free image taken on another day.

    Args:
        rng: source of randomness.
        clear: reflectance (4, H, W), 0 to 1.

    Returns:
        the cloudy image, the cloud mask and the opacity.
    """
    shape = (clear.shape[1], clear.shape[2])
    field = power_law_field(rng, shape, SPECTRAL_SLOPE)
    depth = np.maximum(field - np.quantile(field, 1 - rng.uniform(*COVER_RANGE)), 0)
    haze = 0.03 * (1 + np.tanh(field))
    alpha = 1 - np.exp(-OPTICAL_DEPTH * depth) * (1 - haze)
    shadow = np.roll(1 - np.exp(-OPTICAL_DEPTH * depth), SHADOW_OFFSET_PX, (0, 1))
    day = rng.uniform(0.94, 1.06, (4, 1, 1))
    ground = clear * day * (1 - SHADOW_STRENGTH * shadow)
    bands = 1 + BAND_VARIATION * rng.standard_normal((4, 1, 1))
    cloud = np.clip(rng.uniform(*CLOUD_REFLECTANCE) * bands, *CLOUD_REFLECTANCE)
    image = np.clip(ground * (1 - alpha) + cloud * alpha, 0.002, 1)
    return Clouded(image, depth > 0, alpha)
