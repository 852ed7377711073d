"""Seeds that follow from the place, so that the same place has the same clouds in every run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..._compat import bounds_to_tensor
from .hashing import combine

#: Coordinates are rounded to this, in metres or, for pixels below 0.01 units, in degrees: far
#: below a pixel, far above rounding errors.
ROUNDING = {'metres': 1e-3, 'degrees': 1e-8}


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
    places = _rows(sample['bounds'])
    zones = torch.as_tensor(sample.get('epsg', 0)).reshape(-1).tolist()
    zones = zones * count if len(zones) == 1 else zones
    if len(places) != count or len(zones) != count:
        raise ValueError(
            f'{count} images, but {len(places)} bounds and {len(zones)} EPSG codes: expected one '
            'per image.'
        )
    return [
        combine([seed, int(zone), *_quantised(place)])
        for place, zone in zip(places, zones, strict=True)
    ]


def _rows(bounds: Tensor | Sequence[Any]) -> list[list[float]]:
    """Nine numbers per sample."""
    if isinstance(bounds, Tensor):
        table = bounds
    elif isinstance(bounds[0], slice):
        table = bounds_to_tensor(tuple(bounds))
    else:
        table = torch.stack([bounds_to_tensor(place) for place in bounds])
    if table.shape[-1] != 9:
        raise ValueError(
            f'bounds have shape {tuple(table.shape)}: expected (9,) or (B, 9): start, stop and '
            'step of x, y and t.'
        )
    rows: list[list[float]] = table.reshape(-1, 9).double().tolist()
    return rows


def _quantised(place: Sequence[float]) -> list[int]:
    """Where and when, without steps, which differ between resolutions."""
    west, east, step, south, north, _, begin, end, _ = place
    unit = ROUNDING['degrees' if abs(step) < 0.01 else 'metres']
    sides = [round(side / unit) for side in (west, east, south, north)]
    return [*sides, *(round(time) if math.isfinite(time) else 0 for time in (begin, end))]
