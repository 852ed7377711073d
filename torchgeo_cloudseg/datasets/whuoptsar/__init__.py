"""WHU-OPT-SAR: its facts, its map sheets, and the data set."""

from .dataset import WHUOPTSAR
from .sheets import sheet_bounds, sheet_name

__all__ = ('WHUOPTSAR', 'sheet_bounds', 'sheet_name')
