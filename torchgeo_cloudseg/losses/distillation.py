"""Loss that distils the teacher's features into the student."""

from __future__ import annotations

from torch import Tensor, nn

from ._checks import check_images, full_precision


def clear_sky_hint_loss(
    student: Tensor, teacher: Tensor, cloud_mask: Tensor, clear_only: bool = True
) -> Tensor:
    r"""Squared distance of the student's features to the teacher's, where the sky is clear.

    .. math::

        \text{mean}\left((f_S - f_T)^2 (1 - M)\right)

    The mean is over batch, channels and *all* pixels: the cloudier a batch, the smaller its loss.
    No gradient reaches the teacher. Half-precision inputs are computed in float32, under autocast
    too.

    If you use this loss in your research, please cite CloudSeg (Xu et al., 2024) for the mask and
    Romero et al., "FitNets: hints for thin deep nets", ICLR 2015 for hints.

    Args:
        student: features :math:`f_S`, (B, C, H, W).
        teacher: features :math:`f_T`, (B, C, H, W).
        cloud_mask: mask :math:`M`, (B, H, W), bool, integer or float: 1 cloud, 0 clear; a
            fraction between counts in proportion.
        clear_only: distil where the sky is clear; False for all pixels, whatever the mask.

    Returns:
        the loss, a scalar.

    Raises:
        ValueError: if the shapes do not agree.

    Example:
        >>> import torch
        >>> student, cloudy = torch.zeros(1, 16, 8, 8), torch.ones(1, 8, 8)
        >>> float(clear_sky_hint_loss(student, student + 1, cloudy))
        0.0
    """
    check_images(student, teacher, cloud_mask, ('student', 'teacher'))
    distance = (full_precision(student) - full_precision(teacher.detach())).square()
    if clear_only:
        distance = distance * (1 - cloud_mask.unsqueeze(1).to(distance.dtype))
    return distance.mean()


class ClearSkyHintLoss(nn.Module):
    """Squared distance of the student's features to the teacher's, where the sky is clear.

    The module of :func:`clear_sky_hint_loss`, which has the formula and its sources.

    Shape:
        - student, teacher: (B, C, H, W).
        - cloud_mask: (B, H, W), 1 cloud, 0 clear.
        - Output: a scalar.

    Example:
        >>> import torch
        >>> student, mask = torch.zeros(1, 16, 8, 8), torch.zeros(1, 8, 8)
        >>> float(ClearSkyHintLoss()(student, student + 1, mask))
        1.0
    """

    def __init__(self, clear_only: bool = True) -> None:
        """Initialize a new ClearSkyHintLoss instance.

        Args:
            clear_only: distil where the sky is clear; False for all pixels, whatever the mask.
        """
        super().__init__()
        self.clear_only = clear_only

    def extra_repr(self) -> str:
        """Arguments, for ``print(module)``."""
        return f'clear_only={self.clear_only}'

    def forward(self, student: Tensor, teacher: Tensor, cloud_mask: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            student: features (B, C, H, W).
            teacher: features (B, C, H, W).
            cloud_mask: mask (B, H, W), bool, integer or float: 1 cloud, 0 clear.

        Returns:
            the loss, a scalar.

        Raises:
            ValueError: if the shapes do not agree.
        """
        return clear_sky_hint_loss(student, teacher, cloud_mask, self.clear_only)
