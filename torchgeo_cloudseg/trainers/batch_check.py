"""What a batch must be for a task to learn from it or to be judged by it."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from ..rasters import size_at

#: How far a value may lie outside 0..1 before it counts as not scaled.
TOLERANCE = 0.01

#: Labels spelled out in a message.
SHOWN = 10


def check_batch(
    batch: dict[str, Any],
    name: str,
    images: Sequence[str],
    num_classes: int,
    ignore_index: int,
    label_scale: float,
) -> None:
    """Refuse a batch that would end in NaN or in wrong scores, and say what is wrong.

    Keys that it lacks are no matter of this check.

    Args:
        batch: a batch, on any device.
        name: which one it is, for the message.
        images: keys of images that the task looks at.
        num_classes: number K of classes.
        ignore_index: label of pixels left out.
        label_scale: pixels of the label grid per image pixel.

    Raises:
        ValueError: if images are not finite or not in 0..1, or labels are no classes.
    """
    for key in images:
        if key in batch:
            _check_range(batch[key], f'{name}, {key!r}')
    if 'mask_cloud' in batch:
        _check_range(batch['mask_cloud'].float(), f"{name}, 'mask_cloud'")
    if 'mask' not in batch:
        return
    mask: Tensor = batch['mask']
    if mask.is_floating_point():
        raise ValueError(
            f"{name}, 'mask': found {mask.dtype}, expected whole numbers. Have the data set return "
            'classes as integers.'
        )
    labels = mask.long()
    known = (labels >= 0) & (labels < num_classes) | (labels == ignore_index)
    if strange := sorted(set(labels[~known].tolist())):
        raise ValueError(
            f"{name}, 'mask': found labels {strange[:SHOWN]}, expected "
            f'0..{num_classes - 1}, or {ignore_index} for pixels left out. Set `num_classes` to '
            'that of the data, `ignore_index` to their label for no class, or map their codes.'
        )
    sides = next((batch[key].shape[-2:] for key in images if key in batch), None)
    if sides is not None:
        scale = Fraction(str(label_scale))
        expected = tuple(size_at(side, scale) for side in sides)
        if (found := tuple(mask.shape[-2:])) != expected:
            rank_zero_warn(
                f"{name}, 'mask': {found[0]} x {found[1]} labels for a patch of "
                f'{sides[0]} x {sides[1]} pixels, where label_scale={label_scale} gives '
                f'{expected[0]} x {expected[1]}. Classes are stretched over the patch. Set '
                '`label_scale` to labels per pixel, and `patch_size` to a side that it divides.'
            )


def _check_range(values: Tensor, where: str) -> None:
    """Refuse values that are not finite or not in 0..1."""
    bad = ~values.isfinite()
    if bad.any():
        samples = bad.flatten(1).any(dim=1).nonzero().flatten().tolist()
        raise ValueError(
            f'{where}: found {int(bad.sum())} values that are NaN or infinite, in samples '
            f'{samples} of the batch. Fill what is missing when the data are read, or leave those '
            'files out.'
        )
    low, high = (float(end) for end in torch.aminmax(values))
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise ValueError(
            f'{where}: found values from {low:.4g} to {high:.4g}, expected 0..1. Scale them by the '
            "data's ranges (`Rescale`, as the data modules of this package do on the device)."
        )
