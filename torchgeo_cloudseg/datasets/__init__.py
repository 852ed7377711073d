"""Data sets: M3M-CR and WHU-OPT-SAR as TorchGeo raster data sets."""

from ..rasters import SceneError, ScenesError
from .errors import EmptySplitError
from .legend import LandCoverClass
from .m3mcr import M3MCR
from .query import SceneSlice
from .scene_dataset import SceneDataset
from .scene_spec import SceneSpec
from .sheets import sheet_bounds, sheet_name
from .validation import ValidationReport, validate_scenes
from .whuoptsar import WHUOPTSAR
from .zoned import ZonedDataset

__all__ = (
    'M3MCR',
    'WHUOPTSAR',
    'EmptySplitError',
    'LandCoverClass',
    'SceneDataset',
    'SceneError',
    'SceneSlice',
    'SceneSpec',
    'ScenesError',
    'ValidationReport',
    'ZonedDataset',
    'sheet_bounds',
    'sheet_name',
    'validate_scenes',
)
