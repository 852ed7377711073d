"""Bands of Sentinel-2 made of four."""

from __future__ import annotations

import numpy as np

from .fields import Array

#: Share of blue, green, red and near infrared in B1 to B9 (with B8A), B11 and B12.
MIXTURE = np.array(
    [
        *([1.1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]),
        *([0, 0, 0.8, 0.2], [0, 0, 0.4, 0.6], [0, 0, 0.2, 0.8], [0, 0, 0, 1]),
        *([0, 0, 0, 1.02], [0, 0, 0, 0.9], [0, 0, 0.7, 0.4], [0, 0, 0.8, 0.2]),
    ]
)


def sentinel_2(image: Array) -> Array:
    """Twelve bands of a landscape.

    Args:
        image: blue, green, red and near infrared (4, H, W), 0 to 1.

    Returns:
        B1 to B8, B8A, B9, B11 and B12 (12, H, W), 0 to 1.
    """
    bands: Array = np.clip(np.einsum('bc,chw->bhw', MIXTURE, image), 0, 1)
    return bands
