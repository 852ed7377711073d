"""Data modules: splits, samplers, scaling and augmentation."""

from .loader import SceneDataLoader
from .m3mcr import M3MCRDataModule
from .ombria import OMBRIADataModule
from .scene_datamodule import SceneDataModule
from .scene_folder import SceneFolderDataModule
from .whuoptsar import WHUOPTSARDataModule

__all__ = (
    'M3MCRDataModule',
    'OMBRIADataModule',
    'SceneDataLoader',
    'SceneDataModule',
    'SceneFolderDataModule',
    'WHUOPTSARDataModule',
)
