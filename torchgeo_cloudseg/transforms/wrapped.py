"""Bright pixels whose stored value began again at 0."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MendWrapped(nn.Module):
    """Fill in the dark islands of bright clouds that come of values beyond 255 stored in 8 bits.

    An island is a pit of one band: pixels at least :attr:`depth` darker than every way out of it,
    which is at least :attr:`rim` bright, in a band where a dark pixel lies beside a bright one. It
    gets the brightness of that way, the least that it can have had. Islands that reach the edge
    of the image, or have a gap in their rim, are left as they are.

    Example:
        >>> import torch
        >>> image = torch.full((1, 6, 9, 9), 250.0)
        >>> image[:, 0, 4, 4] = 3  # 259, less 256
        >>> float(MendWrapped()({'image': image})['image'].min())
        250.0
    """

    #: Stored values of what surrounds an island, and how much darker the island is.
    rim, depth = 200.0, 60.0

    #: Stored values on both sides of the shore somewhere.
    bright, dark = 230.0, 80.0

    def __init__(self, key: str = 'image') -> None:
        """Initialize a new MendWrapped instance.

        Args:
            key: key of the image.
        """
        super().__init__()
        self.key = key

    def forward(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Mend a sample or a batch.

        Args:
            sample: sample (C, H, W) or batch (B, C, H, W) in stored units.

        Returns:
            a new dict with the image mended, or the same one where nothing is to be done.
        """
        image: Tensor = sample[self.key]
        planes = image.reshape(-1, 1, *image.shape[-2:])
        # nearly all planes have no pixel as bright, or none as dark beside one
        odd = torch.nonzero(planes.flatten(1).amax(dim=1) >= self.bright).flatten()
        high, low = (F.max_pool2d(sign * planes[odd], 4, 2) * sign for sign in (1, -1))
        odd = odd[((high >= self.bright) & (low <= self.dark)).flatten(1).any(dim=1)]
        if not len(odd):
            return sample
        level = fill_pits(planes[odd])
        pits = (level >= self.rim) & (planes[odd] <= level - self.depth)
        mended = planes.clone()
        mended[odd] = torch.where(pits, level, planes[odd])
        return {**sample, self.key: mended.view(image.shape)}


def fill_pits(planes: Tensor) -> Tensor:
    """Raise every pit to the lowest way out of it, as water would stand.

    Args:
        planes: images (N, 1, H, W).

    Returns:
        the filled images.
    """
    level = torch.full_like(planes, torch.inf)
    for edge in (0, -1):
        level[..., edge, :], level[..., edge] = planes[..., edge, :], planes[..., edge]
    while True:
        lower = torch.maximum(-F.max_pool2d(-level, 3, 1, 1), planes)
        if torch.equal(lower, level):
            return level
        level = lower
