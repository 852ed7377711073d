"""Flips and quarter turns that move all modalities of a sample together."""

from typing import Any

import torch
from torch import Tensor, nn


class RandomFlipRotate(nn.Module):
    """Turn every sample of a batch by one of the eight symmetries of the square, at random.

    All keys that start with ``image`` or ``mask`` move together, whatever their resolution; no
    pixel is interpolated. Patches that are not square are flipped and turned by half turns only.

    Example:
        >>> import torch
        >>> batch = {'image': torch.rand(2, 4, 8, 8), 'mask': torch.zeros(2, 8, 8)}
        >>> tuple(RandomFlipRotate()(batch)['image'].shape)
        (2, 4, 8, 8)
    """

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Turn every sample of a batch.

        Args:
            batch: images (B, C, H, W) and masks (B, H, W).

        Returns:
            a new dict with the turned images and masks; everything else is the same object.
        """
        keys = [key for key in batch if key.startswith(('image', 'mask'))]
        if not keys:
            return batch
        square = all(batch[key].shape[-1] == batch[key].shape[-2] for key in keys)
        # drawn on the CPU, so that no device has to be waited for
        turns = torch.randint(8, (len(batch[keys[0]]),)).tolist()
        moved = dict(batch)
        for key in keys:
            samples = zip(batch[key], turns, strict=True)
            moved[key] = torch.stack([dihedral(image, turn, square) for image, turn in samples])
        return moved


def dihedral(image: Tensor, turn: int, square: bool = True) -> Tensor:
    """One of the eight symmetries of the square.

    Args:
        image: tensor (..., H, W).
        turn: 0 to 7; 4 and above mirror left and right first.
        square: False to leave out quarter turns, which would change the shape.

    Returns:
        the turned tensor.
    """
    if turn >= 4:
        image = image.flip(-1)
    quarter_turns = turn % 4 if square else turn % 2 * 2
    return image.rot90(quarter_turns, (-2, -1))
