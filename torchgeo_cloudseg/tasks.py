"""Tasks by the names that TorchGeo gives its own since 0.9; they live in :mod:`.trainers`."""

from .trainers import CloudSegStudentTask, CloudSegTeacherTask
from .trainers import CloudSegStudentTask as CloudSegStudent
from .trainers import CloudSegTeacherTask as CloudSegTeacher

__all__ = ('CloudSegStudent', 'CloudSegStudentTask', 'CloudSegTeacher', 'CloudSegTeacherTask')
