"""Synthetic clouds: opacity, mask and shadow of one field, at any resolution."""

from .cloud_field import CloudField, CloudyImage
from .random_field import Grid
from .recipe import PRESETS, CloudRecipe
from .transform import SyntheticClouds, add_clouds

__all__ = (
    'PRESETS',
    'CloudField',
    'CloudRecipe',
    'CloudyImage',
    'Grid',
    'SyntheticClouds',
    'add_clouds',
)
