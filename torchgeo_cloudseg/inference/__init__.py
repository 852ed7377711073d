"""TorchGeo CloudSeg inference."""

from .blend import Average, Blend, Crop, Gaussian, Hann, make_blend
from .plan import Axis, WindowPlan, plan_windows
from .sliding import sliding_window

__all__ = (
    'Average',
    'Axis',
    'Blend',
    'Crop',
    'Gaussian',
    'Hann',
    'WindowPlan',
    'make_blend',
    'plan_windows',
    'sliding_window',
)
