"""Transforms of samples and batches."""

from .flips import RandomFlipRotate
from .rescale import Rescale
from .stack import StackModalities

__all__ = ('RandomFlipRotate', 'Rescale', 'StackModalities')
