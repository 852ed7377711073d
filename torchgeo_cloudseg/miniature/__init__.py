"""Miniature data in the real layouts: small, seeded, procedural."""

from .cloudsen12 import write_miniature_cloudsen12
from .luojiaset import write_miniature_luojiaset
from .m3mcr import write_file_list, write_miniature_m3mcr
from .ombria import write_miniature_ombria
from .scene_folder import write_miniature_folder
from .whuoptsar import write_miniature_whuoptsar

__all__ = (
    'write_file_list',
    'write_miniature_cloudsen12',
    'write_miniature_folder',
    'write_miniature_luojiaset',
    'write_miniature_m3mcr',
    'write_miniature_ombria',
    'write_miniature_whuoptsar',
)
