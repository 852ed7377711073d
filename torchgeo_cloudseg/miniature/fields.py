"""Random fields: smooth ones for a landscape, scale-free ones for clouds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..transforms.clouds.random_field import Grid, RandomField, Spectrum

Array = NDArray[np.float32]

#: Exponent of an energy spectrum without small structures.
SMOOTH = 9.0


def draw_field(
    rng: np.random.Generator, shape: tuple[int, ...], size_px: float, exponent: float = SMOOTH
) -> Array:
    """Gaussian random field.

    Args:
        rng: source of randomness.
        shape: height and width.
        size_px: size of the largest structures, in pixels.
        exponent: energy spectrum E(k) ~ k^-exponent of what is smaller; by default there is next to
            nothing.

    Returns:
        field (H, W), of mean 0 and standard deviation 1 over many draws.
    """
    spectrum = Spectrum(size_px, (exponent, exponent), size_px)
    grid = Grid(shape[0], shape[1], (1.0, 1.0))
    field: Array = RandomField.draw(spectrum, grid, [int(rng.integers(2**62))]).on(grid)[0].numpy()
    return field
