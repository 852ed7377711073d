"""Seeds that follow from the place, so that the same place has the same clouds in every run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, SupportsInt

import numpy as np
import torch
from torch import Tensor

from ..._compat import bounds_to_tensor
from ..._random import combined_seed

#: Seeds: a number for one sample, or several.
Seeds = SupportsInt | Iterable[SupportsInt]

#: Coordinates are rounded to this, in meters or, for pixels below 0.01 units, in degrees: far
#: below a pixel, far above rounding errors. And then to 32 bits, in which others may pass them:
#: to some decimeters in UTM, still below a pixel.
ROUNDING = {'meters': 1e-3, 'degrees': 1e-8}


def seeds_from_bounds(sample: Mapping[str, Any], count: int, seed: int = 0) -> list[int]:
    """One seed per sample from its ``bounds``, and ``epsg`` where there is one.

    Args:
        sample: sample or batch with ``bounds``: a float64 tensor (9,) or (B, 9) of start, stop
            and step of x, y and t; or slices ``(x, y, t)``; or a list of either. ``epsg`` is an
            integer tensor, () or (B,).
        count: number of samples (B).
        seed: another number, to get other clouds at the same places.

    Returns:
        B seeds.

    Raises:
        KeyError: if there are no bounds.
        ValueError: if their number is not that of the samples.
    """
    if 'bounds' not in sample:
        raise KeyError(
            "seed_from='bounds' needs the key 'bounds', but the sample has only "
            f"{sorted(sample)}. Keep the dataset's bounds, or use seed_from='random'."
        )
    bounds = sample['bounds']
    if not isinstance(bounds, Tensor):
        places = [tuple(bounds)] if isinstance(bounds[0], slice) else bounds
        bounds = torch.stack([bounds_to_tensor(place) for place in places])
    bounds = bounds if bounds.ndim > 1 else bounds[None]
    zones = torch.as_tensor(sample.get('epsg', 0)).reshape(-1)
    zones = zones.expand(count) if len(zones) == 1 else zones
    if bounds.shape != (count, 9) or len(zones) != count:
        raise ValueError(
            f'{count} images, but {len(bounds)} bounds and {len(zones)} EPSG codes; bounds have '
            f'shape {tuple(bounds.shape)}: expected one per image: start, stop, step of x, y, t.'
        )
    places, codes = bounds.double().tolist(), zones.tolist()
    return [
        combined_seed([seed, int(zone), *_quantized(place)])
        for place, zone in zip(places, codes, strict=True)
    ]


def _quantized(place: Sequence[float]) -> list[int]:
    """Where and when, without steps, which differ between resolutions."""
    west, east, step, south, north, _, begin, end, _ = place
    unit = ROUNDING['degrees' if abs(step) < 0.01 else 'meters']
    sides = [round(side / unit) * unit for side in (west, east, south, north)]
    times = [time if math.isfinite(time) else 0.0 for time in (begin, end)]
    short = np.array([*sides, *times], np.float32).tolist()
    return [*(round(side / unit) for side in short[:4]), *(round(time) for time in short[4:])]


def as_seeds(seeds: Seeds | None, count: int | None = None) -> list[int]:
    """Seeds as a list of plain integers.

    Args:
        seeds: one per sample; a number stands for one sample; None for new ones from PyTorch's
            global random number generator on the CPU, in [0, 2^62).
        count: how many there must be; None for any number, and one new one.

    Returns:
        the seeds.

    Raises:
        ValueError: if there are more or fewer.
    """
    if seeds is None:
        # on the CPU, so that no device has to be waited for
        seeds = torch.randint(1 << 62, (1 if count is None else count,))
    if isinstance(seeds, Tensor):
        seeds = seeds.reshape(-1).tolist()
    plain = [int(seed) for seed in (seeds if isinstance(seeds, Iterable) else [seeds])]
    if count is not None and len(plain) != count:
        raise ValueError(f'{len(plain)} seeds for {count} images: expected one per image.')
    return plain
