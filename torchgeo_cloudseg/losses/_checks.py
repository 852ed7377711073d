"""Checks and casts that the losses share."""

from __future__ import annotations

import torch
from torch import Tensor


def check_images(first: Tensor, second: Tensor, cloud_mask: Tensor, names: tuple[str, str]) -> None:
    """Refuse images and a cloud mask that do not lie on one grid.

    Args:
        first: images or features (B, C, H, W).
        second: images or features (B, C, H, W).
        cloud_mask: cloud mask (B, H, W).
        names: argument names of *first* and *second*, for the message.

    Raises:
        ValueError: if the shapes do not agree.
    """
    if first.ndim != 4 or first.shape != second.shape:
        raise ValueError(
            f'`{names[0]}` and `{names[1]}` must have one shape (B, C, H, W), '
            f'found {tuple(first.shape)} and {tuple(second.shape)}.'
        )
    expected = (first.shape[0], *first.shape[2:])
    if cloud_mask.shape != expected:
        raise ValueError(
            f'`cloud_mask` must have shape (B, H, W) = {expected} to go with `{names[0]}` of '
            f'shape {tuple(first.shape)}, found {tuple(cloud_mask.shape)}.'
        )


def full_precision(x: Tensor) -> Tensor:
    """Cast float16 and bfloat16 to float32 and leave wider types as they are.

    Squares of small differences underflow in float16 (below 2.4e-4 they are 0), and sums over
    many pixels lose their digits in either type.

    Args:
        x: floating-point tensor of any shape.

    Returns:
        the tensor in float32 or float64.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))
