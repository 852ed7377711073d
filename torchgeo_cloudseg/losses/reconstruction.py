"""Loss of the reconstructed cloud-free image."""

from __future__ import annotations

from torch import Tensor, nn

from ._checks import check_images, full_precision


def cloud_charbonnier_loss(
    reconstruction: Tensor,
    target: Tensor,
    cloud_mask: Tensor,
    cloud_weight: float = 5.0,
    epsilon: float = 1e-3,
    exponent: float = 0.45,
) -> Tensor:
    r"""Generalised Charbonnier loss that weighs pixels under clouds more heavily.

    .. math::

        \text{mean}\left((1 + w M) \left((\hat{x} - x)^2 + \epsilon^2\right)^{a}\right)

    The mean is over batch, channels and pixels. With the defaults an error under a cloud counts
    six times. Half-precision inputs are computed in float32, under autocast too.

    If you use this loss in your research, please cite CloudSeg (Xu et al., 2024) for the weights
    and Sun, Roth and Black, "Secrets of optical flow estimation and their principles", CVPR 2010
    for the exponent.

    Args:
        reconstruction: reconstructed image :math:`\hat{x}`, (B, C, H, W), 0..1.
        target: cloud-free image :math:`x`, (B, C, H, W), 0..1.
        cloud_mask: mask :math:`M`, (B, H, W), bool, integer or float: 1 cloud, 0 clear; a
            fraction between counts in proportion.
        cloud_weight: additional weight :math:`w` of pixels under clouds.
        epsilon: difference :math:`\epsilon` below which the loss is nearly flat, in units of the
            images.
        exponent: exponent :math:`a` of the squared difference; 0.5 gives a smoothed absolute
            difference.

    Returns:
        the loss, a scalar.

    Raises:
        ValueError: if the shapes do not agree.

    Example:
        >>> import torch
        >>> image, clear = torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 8)
        >>> under_clouds = cloud_charbonnier_loss(image + 0.1, image, clear + 1)
        >>> round(float(under_clouds / cloud_charbonnier_loss(image + 0.1, image, clear)), 3)
        6.0
    """
    check_images(reconstruction, target, cloud_mask, ('reconstruction', 'target'))
    difference = full_precision(reconstruction) - full_precision(target)
    penalty = (difference.square() + epsilon**2).pow(exponent)
    weight = 1 + cloud_weight * cloud_mask.unsqueeze(1).to(penalty.dtype)
    return (weight * penalty).mean()


class CloudCharbonnierLoss(nn.Module):
    """Generalised Charbonnier loss that weighs pixels under clouds more heavily.

    The module of :func:`cloud_charbonnier_loss`, which has the formula and its sources.

    Shape:
        - reconstruction, target: (B, C, H, W), 0..1.
        - cloud_mask: (B, H, W), 1 cloud, 0 clear.
        - Output: a scalar.

    Example:
        >>> import torch
        >>> criterion = CloudCharbonnierLoss()
        >>> image, mask = torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 8)
        >>> round(float(criterion(image + 0.1, image, mask)), 4)
        0.1259
    """

    def __init__(
        self, cloud_weight: float = 5.0, epsilon: float = 1e-3, exponent: float = 0.45
    ) -> None:
        """Initialize a new CloudCharbonnierLoss instance.

        Args:
            cloud_weight: additional weight of pixels under clouds.
            epsilon: difference below which the loss is nearly flat, in units of the images.
            exponent: exponent of the squared difference.

        Raises:
            ValueError: if *cloud_weight* is negative, or *epsilon* or *exponent* not positive.
        """
        super().__init__()
        if cloud_weight < 0:
            raise ValueError(f'`cloud_weight` must not be negative, found {cloud_weight}.')
        for name, value in {'epsilon': epsilon, 'exponent': exponent}.items():
            if not value > 0:
                raise ValueError(f'`{name}` must be positive, found {value}.')
        self.cloud_weight = cloud_weight
        self.epsilon = epsilon
        self.exponent = exponent

    def extra_repr(self) -> str:
        """Arguments, for ``print(module)``."""
        return f'cloud_weight={self.cloud_weight}, epsilon={self.epsilon}, exponent={self.exponent}'

    def forward(self, reconstruction: Tensor, target: Tensor, cloud_mask: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            reconstruction: reconstructed image (B, C, H, W), 0..1.
            target: cloud-free image (B, C, H, W), 0..1.
            cloud_mask: mask (B, H, W), bool, integer or float: 1 cloud, 0 clear.

        Returns:
            the loss, a scalar.

        Raises:
            ValueError: if the shapes do not agree.
        """
        return cloud_charbonnier_loss(
            reconstruction, target, cloud_mask, self.cloud_weight, self.epsilon, self.exponent
        )
