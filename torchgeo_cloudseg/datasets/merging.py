"""Samples of one place made one: bands laid side by side, or pixels of whoever has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchgeo.datasets import GeoDataset

Sample = dict[str, Any]
Fills = Mapping[str, float | tuple[float, ...]]

#: Keys that say where a sample lies: of several samples, the first one's hold.
PLACE = frozenset(('bounds', 'crs', 'transform', 'scene', 'zone', 'epsg', 'nominal'))


def parts_of(dataset: Any) -> Sequence[GeoDataset]:
    """Data sets of a join or a container.

    Args:
        dataset: any data set.

    Returns:
        its parts; none where it is neither.
    """
    name = 'datasets' if hasattr(dataset, 'datasets') else 'zone_datasets'
    parts: Sequence[GeoDataset] = getattr(dataset, name, ())
    return parts


def fills_of(dataset: Any) -> dict[str, Any]:
    """Values for ground that no scene covers.

    Args:
        dataset: any data set.

    Returns:
        those that are not 0, by key; per band where they are a tuple.
    """
    fills: dict[str, Any] = {}
    for part in reversed(parts_of(dataset)):
        fills |= fills_of(part)
    return fills | getattr(dataset, 'fill_values', {})


def concatenate(samples: Sequence[Sample]) -> Sample:
    """Samples of one place as one: bands of the same key one after another.

    Args:
        samples: the samples, the first of which says where they lie.

    Returns:
        the sample.
    """
    joined = dict(samples[0])
    for sample in samples[1:]:
        for key, value in sample.items():
            if key not in joined:
                joined[key] = value
            elif key not in PLACE and isinstance(value, Tensor):
                joined[key] = torch.cat([joined[key], value])
    return joined


def merge(samples: Sequence[Sample], fills: Fills) -> Sample:
    """Samples of one place as one: each pixel from the first one that has it.

    Args:
        samples: the samples.
        fills: value that stands for no pixel, by key; per band where it is a tuple, by default 0.

    Returns:
        the sample.

    Raises:
        ValueError: if images differ in shape.
    """
    merged = dict(samples[0])
    for sample in samples[1:]:
        both = [key for key in merged if key.startswith(('image', 'mask')) and key in sample]
        for key in both:
            shapes = [tuple(one[key].shape) for one in (merged, sample)]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f'{key!r} has shape {shapes[0]} in one data set and {shapes[1]} in another: '
                    'they cannot be merged. Ask both for the same bands and resolution.'
                )
        holes = {key: _is_fill(merged[key], fills.get(key, 0)) for key in both}
        if {'image', 'mask_cloud'} <= holes.keys():  # a clear pixel looks like a missing one
            holes['mask_cloud'] = holes['image']
        for key, value in sample.items():
            if key in holes:
                merged[key] = torch.where(holes[key], value, merged[key])
            else:
                merged.setdefault(key, value)
    return merged


def _is_fill(values: Tensor, fill: float | tuple[float, ...]) -> Tensor:
    """Where there is no pixel (H, W)."""
    if values.ndim == 2:
        return values.eq(float(np.ravel(fill)[0]))
    return (values == torch.tensor(fill, dtype=values.dtype).reshape(-1, 1, 1)).all(dim=0)
