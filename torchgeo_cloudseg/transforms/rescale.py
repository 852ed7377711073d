"""Bringing stored values to 0..1 and back."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .._choices import Range


class Rescale(nn.Module):
    """Clip images to a range and map it to 0..1, every image by its own range.

    Works on samples (C, H, W) and on batches (B, C, H, W), wherever they are. Keys that are
    absent are passed over, and keys without a range are left as they are.

    Example:
        >>> import torch
        >>> rescale = Rescale({'image': ((0.0,), (10_000.0,))})
        >>> batch = rescale({'image': torch.full((1, 4, 2, 2), 2_500.0)})
        >>> float(batch['image'].mean())
        0.25
    """

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        """Initialize a new Rescale instance.

        Args:
            ranges: lower and upper end by sample key, in stored units (such as digital numbers
                or dB), each a sequence with one number, or one per band.

        Raises:
            ValueError: if a range is empty.
        """
        super().__init__()
        self.keys = tuple(ranges)
        for key, (low, high) in ranges.items():
            ends = torch.tensor(low, dtype=torch.float32), torch.tensor(high, dtype=torch.float32)
            if not (ends[0] < ends[1]).all():
                raise ValueError(f'ranges[{key!r}]={low, high}: the lower end must be below.')
            for name, end in zip(('low', 'high'), ends, strict=True):
                self.register_buffer(f'{name}_{key}', end.view(-1, 1, 1), persistent=False)

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Map stored values to 0..1.

        Args:
            sample: sample or batch; images are floating point.

        Returns:
            a new dict with the images scaled; everything else is the same object.
        """
        scaled = dict(sample)
        for key in self.keys:
            if key in sample:
                low, high = self._ends(key, sample[key])
                scaled[key] = (sample[key].clamp(low, high) - low) / (high - low)
        return scaled

    def inverse(
        self, sample: dict[str, Any], like: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Map 0..1 back to stored values.

        Args:
            sample: sample or batch scaled by :meth:`forward`.
            like: further keys to map back, with the key whose range they share, such as
                ``{'reconstruction': 'image_clear'}``.

        Returns:
            a new dict with the images in stored units.
        """
        stored = dict(sample)
        shared = {**{key: key for key in self.keys}, **(like or {})}
        for key, model in shared.items():
            if key in sample:
                low, high = self._ends(model, sample[key])
                stored[key] = sample[key] * (high - low) + low
        return stored

    def _ends(self, key: str, image: Tensor) -> tuple[Tensor, Tensor]:
        low, high = self.get_buffer(f'low_{key}'), self.get_buffer(f'high_{key}')
        bands = image.shape[-3]
        if len(low) not in (1, bands):
            raise ValueError(f'{key} has {bands} bands, but {len(low)} ranges are given.')
        return low.to(image), high.to(image)
