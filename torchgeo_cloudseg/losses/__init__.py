"""Losses of CloudSeg."""

from .distillation import ClearSkyHintLoss, clear_sky_hint_loss
from .opacity import OpacityLoss, opacity_loss
from .reconstruction import CloudCharbonnierLoss, cloud_charbonnier_loss
from .segmentation import SegmentationLoss, cross_entropy_loss, dice_loss, focal_loss

__all__ = (
    'ClearSkyHintLoss',
    'CloudCharbonnierLoss',
    'OpacityLoss',
    'SegmentationLoss',
    'clear_sky_hint_loss',
    'cloud_charbonnier_loss',
    'cross_entropy_loss',
    'dice_loss',
    'focal_loss',
    'opacity_loss',
)
