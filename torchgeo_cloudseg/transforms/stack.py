"""Several modalities as one image, for models with a single input."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class StackModalities(nn.Module):
    """Join modalities along the band axis into ``image``.

    With it, TorchGeo's own ``SemanticSegmentationTask`` trains on optical and SAR images together
    (early fusion): ``in_channels`` is then the sum of the bands. Scale the images first: each kind
    has a range of its own. The data modules do both with ``stack=True``.

    Example:
        >>> import torch
        >>> batch = {'image': torch.zeros(1, 4, 8, 8), 'image_sar': torch.zeros(1, 2, 8, 8)}
        >>> {key: tuple(value.shape) for key, value in StackModalities()(batch).items()}
        {'image': (1, 6, 8, 8)}
    """

    def __init__(self, keys: Sequence[str] = ('image', 'image_sar'), drop: bool = True) -> None:
        """Initialize a new StackModalities instance.

        Args:
            keys: sample keys to join, in this order.
            drop: remove the joined keys other than ``image``.
        """
        super().__init__()
        self.keys = tuple(keys)
        self.drop = drop

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Join the modalities.

        Args:
            sample: sample (C, H, W) or batch (B, C, H, W) with all *keys* at one resolution.

        Returns:
            a new dict with the joined ``image``.

        Raises:
            KeyError: if a key is missing.
        """
        missing = [key for key in self.keys if key not in sample]
        if missing:
            raise KeyError(
                f'StackModalities needs {list(self.keys)}, but the sample has no {missing}, only '
                f'{sorted(sample)}. Ask the dataset for them with `modalities=`.'
            )
        joined = torch.cat([sample[key] for key in self.keys], dim=-3)
        kept = {k: v for k, v in sample.items() if not (self.drop and k in self.keys)}
        return {**kept, 'image': joined}
