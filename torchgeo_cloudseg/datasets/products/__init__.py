"""Scenes as archives ship them: folders, band files and STAC items, each made one image."""

from .found import Faults, FoundImage, day_in, found_or_broken
from .stac import images_in_stac, is_stac
from .tree import images_in

__all__ = (
    'Faults',
    'FoundImage',
    'day_in',
    'found_or_broken',
    'images_in',
    'images_in_stac',
    'is_stac',
)
