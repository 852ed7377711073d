"""M3M-CR: its facts, its files, and the data set."""

from .dataset import M3MCR

__all__ = ('M3MCR',)
