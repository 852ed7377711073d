"""Real clouds of some images, pasted on others."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .flips import RandomFlipRotate


class PastedClouds(nn.Module):
    """Put the clouds of cloudy images on clear ones of the same sensor.

    Real clouds as the sensor stores them: how they saturate, how they look in each band, what
    lies at their edges. Each clear image gets those of one cloudy image, drawn at random, the
    likelier the more of it is under clouds, and turned by one of the eight symmetries of the
    square. Edges fade over one pixel, so that they are no sharper than those of the images. The
    shadows stay behind.

    Example:
        >>> clouds = torch.zeros(1, 8, 8)
        >>> clouds[:, 2:6, 2:6] = 1
        >>> ground, sky = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
        >>> sample = {'image': ground, 'image_cloudy': sky, 'mask_cloudy': clouds}
        >>> image = PastedClouds()(sample)['image']
        >>> float(image[0, 0, 4, 4]), float(image[0, 0, 0, 0])
        (1.0, 0.0)
    """

    def __init__(self, bands: Sequence[int] | None = None, layers: Sequence[str] = ()) -> None:
        """Initialize a new PastedClouds instance.

        Args:
            bands: positions of the bands that see the clouds, from 0, such as those of the later of
                two dates; the others are left as they are (defaults to all).
            layers: ``alpha`` for the opacity as ``image_alpha``, float32 of shape (B, 1, H, W): 1
                in the clouds, less at their edges.

        Raises:
            ValueError: If there is no such layer.
        """
        super().__init__()
        if not set(layers) <= {'alpha'}:
            raise ValueError(f"layers={layers!r}: expected ('alpha',), or none.")
        self.bands = None if bands is None else list(bands)
        self.layers = tuple(layers)

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Put clouds on a batch.

        Args:
            sample: ``image`` (B, C, H, W) without clouds, and ``image_cloudy`` (N, C, H, W) with
                clouds ``mask_cloudy`` (N, H, W), 1 cloud, 0 clear; those without any are not drawn.

        Returns:
            a new dict with ``image``, ``image_clear`` (the input), ``mask_cloud`` (B, H, W) and the
            layers asked for; everything else is the same object.
        """
        clear, masks = sample['image'], sample['mask_cloudy']
        image, mask = clear.clone(), clear.new_zeros(len(clear), 1, *clear.shape[-2:])
        alpha = mask
        cover = masks.flatten(1).float().mean(dim=1)
        cloudy = cover.nonzero().flatten()
        if len(cloudy):
            chosen = cloudy[torch.multinomial(cover[cloudy], len(clear), replacement=True)]
            clouds = RandomFlipRotate()(
                {'image': sample['image_cloudy'][chosen], 'mask': masks[chosen]}
            )
            mask = clouds['mask'][:, None].to(clear.dtype)
            alpha = F.avg_pool2d(F.pad(mask, [1] * 4, 'replicate'), 3, stride=1)
            seen = slice(None) if self.bands is None else self.bands
            image[:, seen] = clear[:, seen].lerp(clouds['image'][:, seen], alpha)
        made = {'image': image, 'image_clear': clear, 'mask_cloud': mask[:, 0].long()}
        return sample | made | ({'image_alpha': alpha.float()} if self.layers else {})
