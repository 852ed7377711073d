"""Networks of several kinds behind one face: windows in, class scores on the map's grid out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models import Calibration, Network
from ...rasters import size_at
from .plan import plan_windows
from .sliding import slide_images
from .weights import Average


@dataclass(frozen=True)
class WindowNetwork:
    """Runs a network on windows and brings its class scores to the map's grid.

    Attributes:
        model: a :class:`~torchgeo_cloudseg.models.Network`, or any module that maps optical
            and SAR windows to logits (N, K, h, w), or to something with ``logits``,
            ``opacity`` and ``reconstruction``.
        scale: rows of the map per image row, and columns, unless there is a *column_scale*.
        num_classes: number of classes that the map has names for.
        reconstruct: also return the reconstructed cloud-free image.
        opacity: also return the opacity of the clouds.
    """

    model: nn.Module
    scale: Fraction
    num_classes: int
    reconstruct: bool = False
    #: Columns of the map per image column, where these are others.
    column_scale: Fraction | None = None
    opacity: bool = False

    def __call__(self, optical: Tensor, sar: Tensor) -> tuple[Tensor, ...]:
        """Run the network.

        Args:
            optical: windows (N, C, h, w), 0..1.
            sar: windows (N, S, h, w), 0..1.

        Returns:
            logits (N, K, h * scale, w * scale), resized bilinearly where the network gives
            another size, and, where asked for, the opacity on the same grid, and the
            reconstruction (N, C, h, w).

        Raises:
            ValueError: if the network has another number of classes, or not what is asked for.
        """
        height, width = optical.shape[-2:]
        across = self.scale if self.column_scale is None else self.column_scale
        size = int(height * self.scale), int(width * across)
        if isinstance(self.model, Network):
            output: Any = self.model(optical, sar, size, reconstruct=self.reconstruct)
        else:
            output = self.model(optical, sar)
        logits: Tensor = getattr(output, 'logits', output)
        if logits.shape[1] != self.num_classes:
            raise ValueError(
                f'The network distinguishes {logits.shape[1]} classes, but there are names for '
                f'{self.num_classes}. Give the `class_names` of its training.'
            )
        if logits.shape[-2:] != size:
            logits = F.interpolate(logits, size=size, mode='bilinear', align_corners=False)
        outputs = [logits]
        if self.opacity:
            opacity: Tensor | None = getattr(output, 'opacity', None)
            if opacity is None:
                raise ValueError(
                    "products: 'cloud' was asked for, but the network does not tell the opacity of "
                    'clouds. Students of architecture lite do.'
                )
            outputs.append(F.interpolate(opacity, size=size, mode='bilinear', align_corners=False))
        if not self.reconstruct:
            return tuple(outputs)
        reconstruction: Tensor | None = getattr(output, 'reconstruction', None)
        if reconstruction is None:
            raise ValueError(
                "products: 'reconstruction' was asked for, but the network has no such branch. "
                'Only students do that were trained with a reconstruction loss.'
            )
        return *outputs, reconstruction


def slide_scenes(
    model: nn.Module,
    optical: Tensor,
    sar: Tensor,
    output_size: tuple[int, int],
    *,
    window: int,
    stride: int,
    label_scale: Fraction,
    num_classes: int,
    reconstruct: bool = False,
    opacity: bool = False,
) -> tuple[Tensor, ...]:
    """Logits, opacity and reconstruction of whole scenes, from the same passes over their windows.

    Windows are averaged, as in the test protocol of Xu et al. 2024.

    Args:
        model: see :class:`WindowNetwork`.
        optical: optical images (B, C, H, W), 0..1.
        sar: SAR images (B, S, H, W), 0..1.
        output_size: height h and width w of the label grid.
        window: side of the windows, in pixels.
        stride: distance between windows, in pixels.
        label_scale: pixels of the label grid per image pixel, in training. Where *output_size* is
            another, such as that of the images, its own scale counts.
        num_classes: number K of classes.
        reconstruct: reconstruct the cloud-free image, too.
        opacity: tell the opacity of the clouds, too.

    Returns:
        logits (B, K, h, w) and, where asked for, opacities (B, 1, h, w) and cloud-free images
        (B, C, H, W).
    """
    size = optical.shape[-2], optical.shape[-1]
    # sides that do not scale to whole pixels are rounded: their ratio is not the scale
    usual = output_size == tuple(size_at(side, label_scale) for side in size)
    scale = label_scale if usual else Fraction(output_size[0], size[0])
    plan = plan_windows(size, window, stride, scale)
    network = WindowNetwork(model, plan.scale, num_classes, reconstruct, opacity=opacity)
    plans = [plan, *[plan] * opacity, *[plan.at(1)] * reconstruct]
    return slide_images(network, optical, sar, plans, Average())


def fingerprint(model: nn.Module) -> str:
    """Short text that changes with any of a network's values.

    Args:
        model: the network.

    Returns:
        a hash of parameters and buffers, and of what a network was configured to do with them.
    """
    digest = hashlib.blake2b(digest_size=8)
    for module in model.modules():
        if isinstance(module, Network):
            digest.update(repr(module.config).encode())
            if module.calibration != Calibration():
                digest.update(repr(module.calibration).encode())
    for name, value in model.state_dict().items():
        digest.update(f'{name} {tuple(value.shape)} {value.dtype}'.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
