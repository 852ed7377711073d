"""Miniature data in the real layouts: small, seeded, procedural."""

from .m3mcr import write_file_list, write_miniature_m3mcr

__all__ = ('write_file_list', 'write_miniature_m3mcr')
