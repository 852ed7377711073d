"""Errors of mapping."""

from __future__ import annotations

import shutil
from pathlib import Path


class OutputError(OSError):
    """A map that could not be written, such as on a full disk. What was computed is kept."""


class ResumeError(ValueError):
    """Unfinished work of another run, which cannot be carried on."""


class ExportError(ValueError):
    """A network that cannot be written in the format that was asked for."""


def cannot_write(path: Path, cause: Exception, remedy: str) -> OutputError:
    """The error for output that cannot be written.

    Args:
        path: the output.
        cause: what went wrong.
        remedy: what to do when there is room for it.

    Returns:
        an error that names the output and the remedy.
    """
    try:
        free = f'{shutil.disk_usage(path.parent).free >> 20} MiB free'
    except OSError:
        free = 'no such folder'
    return OutputError(
        f'{path}: cannot be written ({cause}; {free}). Make room, or check the permissions, '
        f'{remedy}.'
    )
