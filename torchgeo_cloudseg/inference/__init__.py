"""TorchGeo CloudSeg inference."""

from ..datasets.scene_spec import SceneSpec
from .blend import Average, Blend, Crop, Gaussian, Hann, make_blend
from .errors import OutputError, ResumeError
from .plan import Axis, WindowPlan, plan_windows
from .scene import predict_scene
from .scenes import ScenePair, find_scenes, predict_scenes
from .sliding import sliding_window
from .spec import MapOptions
from .strips import SceneStrips
from .writer import MapDataModule, PredictionWriter

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
    'ScenePair',
    'SceneSpec',
    'SceneStrips',
    'WindowPlan',
    'find_scenes',
    'make_blend',
    'plan_windows',
    'predict_scene',
    'predict_scenes',
    'sliding_window',
)
