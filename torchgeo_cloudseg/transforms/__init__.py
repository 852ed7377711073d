"""Transforms of samples and batches."""

from .clouds import PRESETS, CloudField, CloudRecipe, CloudyImage, SyntheticClouds, add_clouds
from .flips import RandomFlipRotate
from .pasted import PastedClouds
from .rescale import Rescale
from .stack import StackModalities
from .wrapped import MendWrapped

__all__ = (
    'PRESETS',
    'CloudField',
    'CloudRecipe',
    'CloudyImage',
    'MendWrapped',
    'PastedClouds',
    'RandomFlipRotate',
    'Rescale',
    'StackModalities',
    'SyntheticClouds',
    'add_clouds',
)
