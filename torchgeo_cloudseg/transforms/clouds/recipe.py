"""What kind of sky: the physical parameters of synthetic clouds, and presets of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, TypeVar, get_type_hints

import numpy as np
import numpy.typing as npt
from torch import Tensor

#: A number, or the ends of a range from which every sample draws its own.
Span = float | tuple[float, float]

#: Share of the sky that is cloudy on average where no cover is asked for.
NATURAL_COVER = 0.5

Thickness = TypeVar('Thickness', float, Tensor)

#: Optical thickness at which a cloud reflects half of the light: 2 / (1 - g) for droplets, which
#: scatter forwards with g = 0.85 (two-stream approximation, Bohren 1987, Am. J. Phys. 55, 524).
HALF_THICKNESS = 2 / (1 - 0.85)


@dataclass(frozen=True, kw_only=True)
class CloudRecipe:
    """Parameters of a sky. A pair of numbers is a range from which every sample draws its own.

    Attributes:
        cover: share of the pixels under cloud, met to about 0.3 percentage points; None for
            natural variation: half of the sky on average over many places, anything from clear
            to overcast at one place.
        thickness: optical thickness (without unit) that the thickest parts approach. Their
            opacity (alpha) is thickness / (thickness + 13.3): 5 is cirrus, 15 a light cloud, 60
            a deep one.
        thin: share of the cloudy pixels, between 0 and 1, that are less than half as opaque as
            the thickest parts approach.
        haze: opacity at the edge of the cloud mask, which fades outside of it; 0 for a sky that
            is clear up to the edge.
        cloud_reflectance: reflectance of an opaque cloud: one number, or one per band.
        reflectance_variation: largest relative deviation from it, drawn per sample.
        band_variation: largest relative deviation of one band from the others, drawn per sample
            and band.
        feature_size: size of the largest cloud structures, in meters.
        spectral_exponent: exponent b of the energy spectrum E(k) ~ k^-b of the field that shapes
            the clouds: one number, or two for scales above and below *break_scale*.
        break_scale: wavelength in meters at which the exponent changes.
        cloud_height: height of the clouds above ground, in meters.
        sun_zenith: angle between the sun and the zenith, in degrees.
        sun_azimuth: where the sun stands, in degrees clockwise from north; shadows fall to the
            opposite side.
        shadow_strength: share of the light that the shadow of an opaque cloud takes away.

    Example:
        >>> recipe = CloudRecipe.preset('broken', cover=0.4)
        >>> recipe.cover
        0.4
    """

    # with the smallest and the largest number that is accepted, and what is expected
    cover: Annotated[Span | None, 0, 1, 'a share, not a percentage'] = (0.2, 0.7)
    thickness: Annotated[Span, 0.1, math.inf, 'an optical thickness, such as 60'] = 60.0
    thin: Annotated[Span, 0.01, 0.99, 'a share of the cloudy pixels'] = 0.5
    haze: Annotated[Span, 0, 0.5, 'an opacity'] = 0.05
    cloud_reflectance: Annotated[
        float | Sequence[float], 0, 2, 'a reflectance, such as 0.68, not a digital number'
    ] = 0.68
    reflectance_variation: Annotated[float, 0, 1, 'a relative deviation, such as 0.08'] = 0.08
    band_variation: Annotated[float, 0, 1, 'a relative deviation, such as 0.03'] = 0.03
    feature_size: Annotated[float, 1e-3, math.inf, 'meters'] = 1000.0
    spectral_exponent: Annotated[float | Sequence[float], 1.01, 6, 'the exponent b of k^-b'] = 2.7
    break_scale: Annotated[float, 1e-3, math.inf, 'meters'] = 50.0
    cloud_height: Annotated[Span, 0, math.inf, 'meters'] = (800.0, 1500.0)
    sun_zenith: Annotated[Span, 0, 85, 'degrees; a lower sun casts no local shadow'] = (25.0, 50.0)
    sun_azimuth: Annotated[Span, -360, 720, 'degrees clockwise from north'] = (110.0, 170.0)
    shadow_strength: Annotated[Span, 0, 1, 'a share of the light'] = 0.6

    def __post_init__(self) -> None:
        """Check every parameter.

        Raises:
            ValueError: if one is outside its range.
        """
        for name, (lowest, highest, unit) in LIMITS.items():
            value = getattr(self, name)
            numbers = value if isinstance(value, Sequence) else (value,)
            if value is not None and not all(lowest <= number <= highest for number in numbers):
                raise ValueError(
                    f'{name}={value!r}: expected {unit}, from {lowest:g} to {highest:g}.'
                )
            if name in RANGES and (len(numbers) > 2 or numbers[0] != min(numbers)):
                raise ValueError(f'{name}={value!r}: expected a number, or (lower, upper).')
        if np.size(self.spectral_exponent) not in (1, 2):
            raise ValueError(
                f'spectral_exponent={self.spectral_exponent!r}: expected a number, or two, for '
                'scales above and below break_scale.'
            )
        thinnest, haziest = np.min(self.thickness), np.max(self.haze)
        if haziest >= 0.45 * opacity(thinnest):
            raise ValueError(
                f'haze={haziest} is too much for thickness={thinnest}, whose opacity is only '
                f'{opacity(thinnest):.2f}: the edge of a cloud must be less than 0.45 times as '
                'opaque as its core. Lower haze or raise thickness.'
            )

    @cached_property
    def limits(self) -> npt.NDArray[np.float64]:
        """Ends of every range: array (2, N) in the order of :data:`RANGES`."""
        spans = [getattr(self, name) for name in RANGES]
        spans = [NATURAL_COVER if span is None else span for span in spans]
        return np.array([np.broadcast_to(span, 2) for span in spans]).T

    @classmethod
    def preset(cls, name: str, **changes: Span | Sequence[float] | None) -> CloudRecipe:
        """A recipe of the name, with some parameters changed.

        Args:
            name: one of :data:`PRESETS`.
            **changes: parameters of :class:`CloudRecipe`.

        Returns:
            the recipe.

        Raises:
            ValueError: if there is no such preset, or a parameter is outside its range.
        """
        if name not in PRESETS:
            raise ValueError(f'preset={name!r}: expected one of {sorted(PRESETS)}.')
        return replace(PRESETS[name], **changes)  # type: ignore[arg-type]  # checked on creation


_HINTS = get_type_hints(CloudRecipe, include_extras=True)

#: Smallest and largest number of every parameter, and what is expected.
LIMITS = {name: hint.__metadata__ for name, hint in _HINTS.items()}

#: Parameters that may be a range, in the order of the random numbers they take.
RANGES = tuple(name for name, hint in _HINTS.items() if hint.__origin__ in (Span, Span | None))


def opacity(thickness: Thickness) -> Thickness:
    """Opacity of a cloud: the reflectance t / (t + 13.3) of droplets that absorb nothing.

    Args:
        thickness: optical thickness, a number or a tensor.

    Returns:
        alpha, in 0..1.
    """
    return thickness / (thickness + HALF_THICKNESS)


#: Kinds of sky. ``m3mcr`` follows the statistics of real clouds in M3M-CR.
PRESETS: Mapping[str, CloudRecipe] = MappingProxyType({
    'thin': CloudRecipe(
        cover=(0.3, 0.9),
        thickness=(8.0, 16.0),
        haze=0.06,
        feature_size=2500.0,
        spectral_exponent=(2.9, 3.4),
        break_scale=100.0,
        cloud_height=(4000.0, 8000.0),
        shadow_strength=0.4,
    ),
    'thick': CloudRecipe(
        cover=(0.3, 0.7), thickness=(80.0, 160.0), thin=0.3, haze=0.1, shadow_strength=0.7
    ),
    'broken': CloudRecipe(cover=(0.2, 0.6), thickness=(50.0, 100.0), thin=0.45, feature_size=500.0),
    'overcast': CloudRecipe(
        cover=(0.95, 1.0), thickness=(40.0, 80.0), thin=0.3, haze=0.1, feature_size=2500.0
    ),
    'm3mcr': CloudRecipe(
        cover=(0.1, 0.7),
        thickness=(100.0, 180.0),
        thin=0.7,
        haze=0.12,
        feature_size=2500.0,
        spectral_exponent=(2.7, 2.9),
        break_scale=50.0,
        cloud_reflectance=0.7,
        reflectance_variation=0.06,
        band_variation=0.02,
        shadow_strength=0.5,
    ),
})  # fmt: skip
