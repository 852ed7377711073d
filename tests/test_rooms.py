"""The order of the rooms, as pyproject.toml states it."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

import torchgeo_cloudseg

PROJECT = Path(__file__).parents[1]


def test_rooms_import_only_from_rooms_above_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # of a package that is installed elsewhere, this checkout would be no part
    assert Path(torchgeo_cloudseg.__file__).is_relative_to(PROJECT)
    monkeypatch.chdir(PROJECT)
    status = lint_imports(config_filename=str(PROJECT / 'pyproject.toml'), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out
