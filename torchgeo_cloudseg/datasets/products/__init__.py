"""Scenes as archives ship them: folders, band files and STAC items, each made one image."""

from .found import FoundImage, day_in
from .stac import images_in_stac, is_stac
from .tree import images_in

__all__ = ('FoundImage', 'day_in', 'images_in', 'images_in_stac', 'is_stac')
