"""Errors of mapping."""

from .._files import OutputError

__all__ = ('ExportError', 'OutputError', 'ResumeError')


class ResumeError(ValueError):
    """Unfinished work of another run, which cannot be carried on."""


class ExportError(ValueError):
    """A network that cannot be written in the format that was asked for."""
