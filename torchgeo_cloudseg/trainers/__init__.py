"""Tasks: teacher pretraining, student distillation, and their evaluation."""

from .base import CloudSegTask
from .checkpoint import load_mapper, load_network
from .interrupt import InterruptAfterStep
from .report import RegionReport
from .student import CloudSegStudentTask
from .sync_batchnorm import SyncBatchNormPlugin
from .teacher import CloudSegTeacherTask

__all__ = (
    'CloudSegStudentTask',
    'CloudSegTask',
    'CloudSegTeacherTask',
    'InterruptAfterStep',
    'RegionReport',
    'SyncBatchNormPlugin',
    'load_mapper',
    'load_network',
)
