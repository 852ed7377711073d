"""Data sets: M3M-CR and WHU-OPT-SAR as TorchGeo raster data sets."""

from .errors import SceneError, ScenesError
from .m3mcr import M3MCR
from .query import SceneSlice
from .whuoptsar import WHUOPTSAR
from .zoned import ZonedDataset

__all__ = ('M3MCR', 'WHUOPTSAR', 'SceneError', 'SceneSlice', 'ScenesError', 'ZonedDataset')
