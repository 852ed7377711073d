"""Linear layers over tokens that are as fast on a CPU as its vector units allow.

PyTorch multiplies float32 matrices on a CPU by MKL, which uses the wide vector instructions of
Intel's processors only: on others it reaches half of the possible speed. 1x1 convolutions, the
same thing, go to oneDNN, which asks the processor what it can do.
"""

from __future__ import annotations

from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: With fewer tokens, it takes longer to rearrange the weights than there is to gain.
FEWEST_TOKENS = 192

#: A single thread uses oneDNN for 1x1 convolutions of so many images or more.
IMAGES = 16

#: With fewer tokens, it is better to have a single image.
FEWEST_TO_SPLIT = 384


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply tokens by a matrix, see :func:`torch.nn.functional.linear`.

    Args:
        x: tokens (..., C).
        weight: matrix (C', C).
        bias: vector (C',).

    Returns:
        tokens (..., C').
    """
    count = x.numel() // max(x.shape[-1], 1)
    if not x.is_cpu or count < FEWEST_TOKENS or torch.compiler.is_compiling() or not _available():
        return F.linear(x, weight, bias)
    images = IMAGES if count % IMAGES == 0 and count >= FEWEST_TO_SPLIT else 1
    # channels-last maps of one row, which are tokens in memory
    maps = x.reshape(images, 1, count // images, x.shape[-1]).permute(0, 3, 1, 2)
    product = F.conv2d(maps, weight[:, :, None, None], bias)
    return product.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def _available() -> bool:
    onednn: Any = torch.backends.mkldnn
    return bool(onednn.is_available() and onednn.enabled)


class TokenLinear(nn.Linear):
    """:class:`torch.nn.Linear`, by :func:`linear`."""

    @classmethod
    def of(cls, source: nn.Linear) -> Self:
        """Take over the parameters of another layer.

        Args:
            source: any linear layer.

        Returns:
            a layer with the same parameters.
        """
        layer = cls(source.in_features, source.out_features, source.bias is not None, device='meta')
        layer.weight, layer.bias = source.weight, source.bias
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by the weights.

        Args:
            x: tokens (..., C).

        Returns:
            tokens (..., C').
        """
        return linear(x, self.weight, self.bias)
