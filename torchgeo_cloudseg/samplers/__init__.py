"""Geo samplers that stay on the pixel grid of each scene."""

from .base import SceneSampler
from .single import CenterSceneSampler, GridSceneSampler, RandomSceneSampler
from .tiles import TileSceneSampler

__all__ = (
    'CenterSceneSampler',
    'GridSceneSampler',
    'RandomSceneSampler',
    'SceneSampler',
    'TileSceneSampler',
)
