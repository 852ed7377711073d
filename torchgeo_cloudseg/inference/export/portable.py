"""A network as a graph that can be recorded: any batch and size, outputs by name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models import Network
from ...models.network import STRIDE

#: Names of the inputs, in order.
INPUTS = ('optical', 'sar')

#: Names of the axes that may have any length.
AXES = {0: 'batch', 2: 'height', 3: 'width'}


class PortableNetwork(nn.Module):
    """A network as a graph without branches: any batch and size, outputs by name."""

    def __init__(self, network: Network, scale: Fraction) -> None:
        """Initialize a new PortableNetwork instance.

        Args:
            network: the network; where it has a reconstruction branch, that is an output.
            scale: pixels of the logits per pixel of the image.
        """
        super().__init__()
        self.network = network
        self.scale = scale

    def forward(self, optical: Tensor, sar: Tensor) -> dict[str, Tensor]:
        """Segment, and tell the clouds and what they hide.

        Args:
            optical: optical image, float32, 0..1, shape (B, C, H, W).
            sar: SAR image on the same grid, float32, 0..1, shape (B, S, H, W).

        Returns:
            ``logits`` (B, K, H * scale, W * scale), rounded down, and where the network has these
            branches, ``opacity`` (B, 1, H, W) and ``reconstruction`` (B, C, H, W).
        """
        height, width = optical.shape[-2:]
        rows, columns = _padded(height), _padded(width)
        output = self.network(_pad(optical, rows, columns), _pad(sar, rows, columns))
        logits = output.logits[..., :height, :width]
        if self.scale != 1:
            up, down = self.scale.as_integer_ratio()
            size = _own_symbol(height * up // down), _own_symbol(width * up // down)
            logits = F.interpolate(logits, size=size, mode='bilinear', align_corners=False)
        outputs = {'logits': logits}
        for name in ('opacity', 'reconstruction'):
            if (found := getattr(output, name)) is not None:
                outputs[name] = found[..., :height, :width]
        return outputs


def _own_symbol(side: int) -> Any:
    """A length of which PyTorch knows only that it is positive.

    It is read out of a tensor. A length computed from the image's would make PyTorch ask what holds
    for some sizes of images only.

    Returns:
        the length.
    """
    length: Any = torch.scalar_tensor(side, dtype=torch.int64).item()
    torch._check(length >= 1)
    return length


def _padded(side: int) -> int:
    """The next multiple of the network's stride."""
    padded: int = _own_symbol((side + STRIDE - 1) // STRIDE) * STRIDE
    torch._check(padded >= side)
    return padded


def _pad(x: Tensor, rows: int, columns: int) -> Tensor:
    """Repeat the right and bottom edge, as the network does, but always."""
    height, width = x.shape[-2:]
    row = torch.arange(rows, device=x.device).clamp(max=height - 1)
    column = torch.arange(columns, device=x.device).clamp(max=width - 1)
    # runtimes gather whole rows at once, and single pixels one by one
    return x.index_select(2, row).mT.index_select(2, column).mT


def lean_network(network: Network, reconstruct: bool) -> Network:
    """The same network on the CPU, in evaluation mode, without what the outputs do not need."""
    lean = network.rebuilt(reconstruct=reconstruct)
    state = network.state_dict()
    lean.load_state_dict({name: state[name] for name in lean.state_dict()})
    return lean.eval().requires_grad_(False)
