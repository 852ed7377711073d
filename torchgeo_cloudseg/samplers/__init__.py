"""Geo samplers that stay on the pixel grid of each scene."""

from .base import SceneSampler
from .single import CenterSceneSampler, GridSceneSampler, RandomSceneSampler

__all__ = ('CenterSceneSampler', 'GridSceneSampler', 'RandomSceneSampler', 'SceneSampler')
