"""Data modules: splits, samplers, scaling and augmentation."""

from .cloudsen12 import CloudSEN12DataModule
from .loader import SceneDataLoader
from .luojiaset import LuojiaSETDataModule
from .m3mcr import M3MCRDataModule
from .ombria import OMBRIADataModule
from .scene_datamodule import SceneDataModule
from .scene_folder import SceneFolderDataModule
from .whuoptsar import WHUOPTSARDataModule

__all__ = (
    'CloudSEN12DataModule',
    'LuojiaSETDataModule',
    'M3MCRDataModule',
    'OMBRIADataModule',
    'SceneDataLoader',
    'SceneDataModule',
    'SceneFolderDataModule',
    'WHUOPTSARDataModule',
)
