"""TorchGeo CloudSeg inference."""

from .._compat import deprecated_names
from ..datasets.scene_spec import SceneSpec
from .errors import OutputError, ResumeError
from .scenes.batch import predict_scenes
from .scenes.mapping import predict_scene
from .scenes.options import MapOptions
from .scenes.pairing import ScenePair, find_scenes
from .scenes.row_block_data import MapDataModule, RowBlockDataset
from .scenes.stacks import SceneStack, find_stacks
from .scenes.writing import PredictionWriter
from .windows.plan import Axis, WindowPlan, plan_windows
from .windows.sliding import sliding_window
from .windows.weights import Average, Blend, Crop, Gaussian, Hann, make_blend

__all__ = (
    'Average',
    'Axis',
    'Blend',
    'Crop',
    'Gaussian',
    'Hann',
    'MapDataModule',
    'MapOptions',
    'OutputError',
    'PredictionWriter',
    'ResumeError',
    'RowBlockDataset',
    'ScenePair',
    'SceneSpec',
    'SceneStack',
    'WindowPlan',
    'find_scenes',
    'find_stacks',
    'make_blend',
    'plan_windows',
    'predict_scene',
    'predict_scenes',
    'sliding_window',
)

__getattr__ = deprecated_names(__name__, {'SceneStrips': (__name__, 'RowBlockDataset')})
