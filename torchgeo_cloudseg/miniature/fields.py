"""Random fields: smooth ones for a landscape, scale-free ones for clouds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: A Gaussian filter passes nothing worth drawing beyond so many standard deviations.
_CUT_OFF = 3.5


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], extent_px: float) -> Array:
    """Gaussian random field with bumps of one size.

    Args:
        rng: source of randomness.
        shape: height and width.
        extent_px: typical distance from a bump to the dip beside it, in pixels.

    Returns:
        field of mean 0 and standard deviation 1, (H, W).
    """
    scale = 2 * np.pi * extent_px / 4
    # drawn on a larger torus, or opposite edges would be alike
    torus = _fast_size(shape[0] + 2 * extent_px), _fast_size(shape[1] + 2 * extent_px)
    field = _synthesize(rng, torus, _CUT_OFF / scale, lambda k: np.exp(-0.5 * (k * scale) ** 2))
    return standardized(field[: shape[0], : shape[1]])


def power_law_field(
    rng: np.random.Generator, shape: tuple[int, int], slope: float, outer_px: float
) -> Array:
    """Gaussian random field with structure at all sizes, such as clouds.

    Args:
        rng: source of randomness.
        shape: height and width.
        slope: exponent of the energy spectrum E(k), such as -2.7.
        outer_px: size in pixels above which there is no more structure.

    Returns:
        field of mean 0 and standard deviation 1, (H, W).
    """

    def amplitude(k: NDArray[np.float64]) -> NDArray[np.float64]:
        # E(k) is the power over a ring of circumference 2 pi k, hence the exponent slope - 1
        return (k**2 + outer_px**-2) ** ((slope - 1) / 4)

    torus = _fast_size(shape[0] + outer_px / 2), _fast_size(shape[1] + outer_px / 2)
    return standardized(_synthesize(rng, torus, 0.5, amplitude)[: shape[0], : shape[1]])


def standardized(field: Array) -> Array:
    """Shift and scale a field to mean 0 and standard deviation 1.

    Args:
        field: any numbers, of any shape.

    Returns:
        the field; zeros where it is constant.
    """
    centerd = field - field.mean()
    scaled: Array = (centerd / max(float(centerd.std()), 1e-12)).astype(np.float32)
    return scaled


def _synthesize(
    rng: np.random.Generator,
    shape: tuple[int, int],
    cut_off: float,
    amplitude: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Array:
    """Periodic field of a given amplitude at each wave number (cycles per pixel)."""
    height, width = shape
    ky = np.fft.fftfreq(height)
    kx = np.fft.rfftfreq(width)
    kx = kx[: int(np.searchsorted(kx, cut_off, side='right')) + 1]
    rows = np.flatnonzero(np.abs(ky) <= cut_off)
    k = np.hypot(ky[rows, None], kx[None, :])
    noise = rng.standard_normal((2, *k.shape), dtype=np.float32)
    spectrum = np.zeros((height, len(kx)), np.complex64)
    spectrum[rows] = (noise[0] + 1j * noise[1]) * amplitude(k)
    spectrum[0, 0] = 0
    # one axis after the other: columns beyond the cut-off are empty and need no transform
    return np.fft.irfft(np.fft.ifft(spectrum, axis=0), n=width, axis=1).astype(np.float32)


def _fast_size(size: float) -> int:
    """The next size whose transform is fast."""
    return int(-(-size // 60)) * 60
