"""Loss of the predicted opacity of clouds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._checks import full_precision

#: Opacities nearer than this to 0 and 1 cost no more: the logarithm ends there.
NEAREST = 1e-6


def opacity_loss(predicted: Tensor, opacity: Tensor) -> Tensor:
    r"""Binary cross-entropy of the predicted opacity of clouds.

    .. math::

        -\text{mean}\left(\alpha \log \hat\alpha + (1 - \alpha) \log (1 - \hat\alpha)\right)

    It is least where the prediction is the expected opacity. Half-precision inputs are computed in
    float32, under autocast too.

    Args:
        predicted: predicted opacity :math:`\hat\alpha`, (B, 1, H, W), 0..1.
        opacity: opacity :math:`\alpha`, (B, 1, H, W), 0..1; of clouds of which only a mask is
            known, the mask.

    Returns:
        the loss, a scalar.

    Raises:
        ValueError: if the shapes do not agree.

    Example:
        >>> import torch
        >>> predicted = torch.full((1, 1, 8, 8), 0.5)
        >>> round(float(opacity_loss(predicted, torch.ones(1, 1, 8, 8))), 4)
        0.6931
    """
    if predicted.shape != opacity.shape:
        raise ValueError(
            f'`predicted` and `opacity` must have one shape (B, 1, H, W), found '
            f'{tuple(predicted.shape)} and {tuple(opacity.shape)}.'
        )
    inside = full_precision(predicted).clamp(NEAREST, 1 - NEAREST)
    target = opacity.to(inside.dtype)
    return -(target * inside.log() + (1 - target) * torch.log1p(-inside)).mean()


class OpacityLoss(nn.Module):
    """Binary cross-entropy of the predicted opacity of clouds.

    The module of :func:`opacity_loss`, which has the formula.

    Shape:
        - predicted, opacity: (B, 1, H, W), 0..1.
        - Output: a scalar.

    Example:
        >>> import torch
        >>> predicted = torch.full((1, 1, 8, 8), 0.5)
        >>> round(float(OpacityLoss()(predicted, torch.ones(1, 1, 8, 8))), 4)
        0.6931
    """

    def forward(self, predicted: Tensor, opacity: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            predicted: predicted opacity (B, 1, H, W), 0..1.
            opacity: opacity (B, 1, H, W), 0..1.

        Returns:
            the loss, a scalar.

        Raises:
            ValueError: if the shapes do not agree.
        """
        return opacity_loss(predicted, opacity)
