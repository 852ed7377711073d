"""Clouds over a landscape, with the statistics of real ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .fields import Array, draw_field

#: Exponent of the energy spectrum of cloud thickness, read off real patches.
SPECTRAL_EXPONENT = 2.7

#: Size above which clouds have no more structure, in pixels.
OUTER_PX = 200.0

#: Share of the land that is under clouds.
COVER_RANGE = (0.3, 0.5)

#: Reflectance of an opaque cloud, and its relative variation between bands.
CLOUD_REFLECTANCE = (0.62, 0.76)
BAND_VARIATION = 0.02

#: Optical depth is this times the height above the cloud's edge, in standard deviations of the
#: field, to this power: most of a cloud is thin.
DEPTH_SCALE, DEPTH_POWER = 0.95, 1.4

#: Opacity of the haze between the clouds.
HAZE_RANGE = (0.0, 0.06)

#: How far clouds lie from their shadows in pixels, towards a morning sun in the southeast, and the
#: light that a shadow takes at most.
SHADOW_PX = (12, 26)
SHADOW_STRENGTH = 0.5


def add_clouds(rng: np.random.Generator, clear: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Draw clouds and their shadows over a cloud-free image, on another day.

    Args:
        rng: source of randomness.
        clear: reflectance (C, H, W), 0 to 1.

    Returns:
        the cloudy image, and the cloud mask (H, W).
    """
    _, height, width = clear.shape
    down, right = rng.integers(*SHADOW_PX, 2)
    field = draw_field(rng, (height + down, width + right), OUTER_PX, SPECTRAL_EXPONENT)
    edge = np.quantile(field, 1 - rng.uniform(*COVER_RANGE))
    above = np.maximum(field - edge, 0)
    opacity = 1 - np.exp(-DEPTH_SCALE * above**DEPTH_POWER)
    here, sunwards = opacity[:height, :width], opacity[down:, right:]
    alpha = 1 - (1 - here) * (1 - rng.uniform(*HAZE_RANGE))

    day = 1 + 0.04 * rng.standard_normal((len(clear), 1, 1))
    bands = 1 + BAND_VARIATION * rng.standard_normal((len(clear), 1, 1))
    ground = clear * day * (1 - SHADOW_STRENGTH * sunwards)
    cloud = rng.uniform(*CLOUD_REFLECTANCE) * bands
    return np.clip(ground * (1 - alpha) + cloud * alpha, 0.002, 1), here > 0
