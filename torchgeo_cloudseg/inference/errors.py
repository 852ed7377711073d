"""Errors of mapping."""

from __future__ import annotations


class OutputError(OSError):
    """A map that could not be written, such as on a full disk. What was computed is kept."""


class ResumeError(ValueError):
    """Unfinished work of another run, which cannot be carried on."""


class ExportError(ValueError):
    """A network that cannot be written in the format that was asked for."""
