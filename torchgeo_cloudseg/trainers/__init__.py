"""Tasks: teacher pretraining, student distillation, and their evaluation."""

from .base import CloudSegTask
from .calibration import CalibrationFit
from .checkpoint import load_mapper, load_network
from .interrupt import InterruptAfterStep
from .progress import LogProgress, watched
from .report import RegionReport
from .student import CloudSegStudentTask
from .teacher import CloudSegTeacherTask

__all__ = (
    'CalibrationFit',
    'CloudSegStudentTask',
    'CloudSegTask',
    'CloudSegTeacherTask',
    'InterruptAfterStep',
    'LogProgress',
    'RegionReport',
    'load_mapper',
    'load_network',
    'watched',
)
