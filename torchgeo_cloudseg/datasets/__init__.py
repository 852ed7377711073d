"""Data sets as TorchGeo raster data sets: M3M-CR, WHU-OPT-SAR, and what declares another."""

from ..index import Layer, SceneFiles, by_key
from ..rasters import SceneError, ScenesError
from .cloudsen12 import CloudSEN12
from .joins import SceneIntersection, SceneUnion
from .legend import LandCoverClass
from .luojiaset import LuojiaSET
from .m3mcr import M3MCR
from .ombria import OMBRIA
from .query import SceneSlice
from .registry import DATASETS, recognize_dataset, register_dataset
from .scene_dataset import SceneDataset
from .scene_folder import Division, Modality, SceneFolder
from .scene_scan import EmptySplitError, pair_by_name
from .scene_spec import SceneSpec
from .validation import ValidationReport, validate_folder, validate_scenes
from .whuoptsar import WHUOPTSAR, sheet_bounds, sheet_name
from .zoned import ZonedDataset

__all__ = (
    'DATASETS',
    'M3MCR',
    'OMBRIA',
    'WHUOPTSAR',
    'CloudSEN12',
    'Division',
    'EmptySplitError',
    'LandCoverClass',
    'Layer',
    'LuojiaSET',
    'Modality',
    'SceneDataset',
    'SceneError',
    'SceneFiles',
    'SceneFolder',
    'SceneIntersection',
    'SceneSlice',
    'SceneSpec',
    'SceneUnion',
    'ScenesError',
    'ValidationReport',
    'ZonedDataset',
    'by_key',
    'pair_by_name',
    'recognize_dataset',
    'register_dataset',
    'sheet_bounds',
    'sheet_name',
    'validate_folder',
    'validate_scenes',
)
