"""Data modules: splits, samplers, scaling and augmentation."""

from .base import SceneDataModule
from .loader import SceneDataLoader
from .m3mcr import M3MCRDataModule
from .whuoptsar import WHUOPTSARDataModule

__all__ = ('M3MCRDataModule', 'SceneDataLoader', 'SceneDataModule', 'WHUOPTSARDataModule')
