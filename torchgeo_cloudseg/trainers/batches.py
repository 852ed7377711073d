"""What tasks read of a batch."""

from typing import Any

import torch
from torch import Tensor

Batch = dict[str, Any]


def label_size(mask: Tensor) -> tuple[int, int]:
    """Height and width of the label grid.

    Args:
        mask: labels (B, h, w).

    Returns:
        h and w.
    """
    return mask.shape[-2], mask.shape[-1]


def cloud_mask(batch: Batch) -> Tensor:
    """Cloud mask of a batch; all clear where the batch has none.

    Args:
        batch: a batch.

    Returns:
        mask (B, H, W), 1 cloud and 0 clear.
    """
    mask: Tensor = batch['mask']
    return batch['mask_cloud'] if 'mask_cloud' in batch else torch.zeros_like(mask)
