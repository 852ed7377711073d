"""TorchGeo CloudSeg inference."""

from .blend import Average, Blend, Crop, Gaussian, Hann, make_blend
from .errors import OutputError, ResumeError
from .plan import Axis, WindowPlan, plan_windows
from .scene import predict_scene
from .sliding import sliding_window
from .spec import MapOptions, SceneSpec

__all__ = (
    'Average',
    'Axis',
    'Blend',
    'Crop',
    'Gaussian',
    'Hann',
    'MapOptions',
    'OutputError',
    'ResumeError',
    'SceneSpec',
    'WindowPlan',
    'make_blend',
    'plan_windows',
    'predict_scene',
    'sliding_window',
)
