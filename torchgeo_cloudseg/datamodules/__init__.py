"""Data modules: splits, samplers, scaling and augmentation."""

from .base import SceneDataModule
from .m3mcr import M3MCRDataModule
from .whuoptsar import WHUOPTSARDataModule

__all__ = ('M3MCRDataModule', 'SceneDataModule', 'WHUOPTSARDataModule')
