"""Clouds over a landscape, with the statistics of real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .fields import Array, draw_field


class Sky(NamedTuple):
    """A kind of clouds."""

    #: Share of the land that is under clouds.
    cover: tuple[float, float] = (0.3, 0.5)
    #: Exponent of the energy spectrum of cloud thickness, read off real patches.
    spectral_exponent: float = 2.7
    #: Size above which clouds have no more structure, in pixels.
    outer_px: float = 200.0
    #: Optical depth is this times the height above the cloud's edge, in standard deviations of the
    #: field, to this power: most of a cloud is thin.
    depth_scale: float = 0.95
    depth_power: float = 1.4
    #: Opacity of the haze between the clouds.
    haze: tuple[float, float] = (0.0, 0.06)


SKIES: Mapping[str, Sky] = {
    'usual': Sky(),
    # a few clouds of the usual kind
    'fair': Sky((0.05, 0.15)),
    # an even veil, through which much can be seen
    'veil': Sky((0.8, 0.95), outer_px=400.0, depth_scale=0.2, depth_power=1.0, haze=(0.05, 0.15)),
    # a cover through which nothing can be seen, with gaps
    'overcast': Sky((0.75, 0.9), outer_px=300.0, depth_scale=4.0, depth_power=1.0),
    # many small, thick clouds
    'cumulus': Sky((0.25, 0.4), spectral_exponent=2.2, outer_px=50.0, depth_scale=3.0),
}

#: Reflectance of an opaque cloud, and its relative variation between bands.
CLOUD_REFLECTANCE = (0.62, 0.76)
BAND_VARIATION = 0.02

#: How far clouds lie from their shadows in pixels, towards a morning sun in the southeast, and the
#: light that a shadow takes at most.
SHADOW_PX = (12, 26)
SHADOW_STRENGTH = 0.5


def add_clouds(
    rng: np.random.Generator, clear: Array, sky: str = 'usual'
) -> tuple[Array, NDArray[np.bool_]]:
    """Draw clouds and their shadows over a cloud-free image, on another day.

    Args:
        rng: source of randomness.
        clear: reflectance (C, H, W), 0 to 1.
        sky: kind of clouds, one of :data:`SKIES`.

    Returns:
        the cloudy image, and the cloud mask (H, W).
    """
    kind = SKIES[sky]
    _, height, width = clear.shape
    down, right = rng.integers(*SHADOW_PX, 2)
    field = draw_field(rng, (height + down, width + right), kind.outer_px, kind.spectral_exponent)
    edge = np.quantile(field, 1 - rng.uniform(*kind.cover))
    above = np.maximum(field - edge, 0)
    opacity = 1 - np.exp(-kind.depth_scale * above**kind.depth_power)
    here, sunwards = opacity[:height, :width], opacity[down:, right:]
    alpha = 1 - (1 - here) * (1 - rng.uniform(*kind.haze))

    day = 1 + 0.04 * rng.standard_normal((len(clear), 1, 1))
    bands = 1 + BAND_VARIATION * rng.standard_normal((len(clear), 1, 1))
    ground = clear * day * (1 - SHADOW_STRENGTH * sunwards)
    cloud = rng.uniform(*CLOUD_REFLECTANCE) * bands
    return np.clip(ground * (1 - alpha) + cloud * alpha, 0.002, 1), here > 0
