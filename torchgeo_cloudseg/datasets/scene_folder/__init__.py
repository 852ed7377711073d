"""Your own images as a data set, declared by arguments in place of a class."""

from .dataset import SceneFolder
from .division import Division
from .modality import Modality

__all__ = ('Division', 'Modality', 'SceneFolder')
