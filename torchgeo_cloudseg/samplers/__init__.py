"""Geo samplers that stay on the pixel grid of each scene."""

from .base import SceneSampler
from .random import RandomSceneSampler
from .regular import CenterSceneSampler, GridSceneSampler, TileSceneSampler

__all__ = (
    'CenterSceneSampler',
    'GridSceneSampler',
    'RandomSceneSampler',
    'SceneSampler',
    'TileSceneSampler',
)
