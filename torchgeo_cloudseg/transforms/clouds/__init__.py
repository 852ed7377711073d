"""Synthetic clouds: opacity, mask and shadow of one field, at any resolution."""

from .field import CloudField, CloudyImage
from .module import SyntheticClouds, add_clouds
from .noise import Grid
from .recipe import PRESETS, CloudRecipe

__all__ = (
    'PRESETS',
    'CloudField',
    'CloudRecipe',
    'CloudyImage',
    'Grid',
    'SyntheticClouds',
    'add_clouds',
)
