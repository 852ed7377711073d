"""The order of the rooms, as pyproject.toml states it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torchgeo_cloudseg

PROJECT = Path(__file__).parents[1]


def test_rooms_import_only_from_rooms_above_them() -> None:
    # of a package that is installed elsewhere, this checkout would be no part
    assert Path(torchgeo_cloudseg.__file__).is_relative_to(PROJECT)
    # in a process of its own: it silences the loggers of the process that it runs in
    program = 'from importlinter.cli import lint_imports_command; lint_imports_command()'
    command = [sys.executable, '-c', program, '--no-cache']
    environment = {**os.environ, 'PYTHONPATH': str(PROJECT)}
    done = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
