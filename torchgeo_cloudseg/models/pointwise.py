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
    if not _convolves(x):
        return F.linear(x, weight, bias)
    product = F.conv2d(_as_maps(x), _as_kernels(weight), bias)
    return product.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def linear_backward(
    grad: Tensor, x: Tensor, weight: Tensor, needed: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of :func:`linear`.

    Args:
        grad: gradient of the result (..., C').
        x: tokens (..., C).
        weight: matrix (C', C).
        needed: which gradients are wanted: of the tokens, the matrix and the vector.

    Returns:
        these gradients, None for others.
    """
    if _convolves(x):
        maps, weights, bias = torch.ops.aten.convolution_backward(
            _as_maps(grad),
            _as_maps(x),
            _as_kernels(weight),
            [len(weight)],
            [1, 1],
            [0, 0],
            [1, 1],
            False,
            [0, 0],
            1,
            needed,
        )
        tokens = None if maps is None else maps.permute(0, 2, 3, 1).reshape(x.shape)
        return tokens, None if weights is None else weights[:, :, 0, 0], bias
    flat = grad.flatten(0, -2)
    return (
        grad @ weight if needed[0] else None,
        flat.t() @ x.flatten(0, -2) if needed[1] else None,
        flat.sum(0) if needed[2] else None,
    )


def _convolves(x: Tensor) -> bool:
    """Whether these tokens are multiplied by a 1x1 convolution."""
    if not x.is_cpu or x.dtype != torch.float32 or torch.compiler.is_compiling():
        return False
    onednn: Any = torch.backends.mkldnn
    count = x.numel() // max(x.shape[-1], 1)
    return count >= FEWEST_TOKENS and bool(onednn.is_available() and onednn.enabled)


def _as_maps(x: Tensor) -> Tensor:
    """Tokens as channels-last maps of one row, which are the same in memory."""
    count = x.numel() // x.shape[-1]
    images = IMAGES if count % IMAGES == 0 and count >= FEWEST_TO_SPLIT else 1
    return x.reshape(images, 1, count // images, x.shape[-1]).permute(0, 3, 1, 2)


def _as_kernels(weight: Tensor) -> Tensor:
    """A matrix as channels-last kernels of one pixel, which are the same in memory."""
    return weight[:, None, None].permute(0, 3, 1, 2)


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


def use_token_linears(module: nn.Module) -> None:
    """Put :class:`TokenLinear` in the place of every linear layer in a module.

    Args:
        module: the module; its parameters and their names stay.
    """
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            setattr(module, name, TokenLinear.of(child))
        else:
            use_token_linears(child)
