"""Every public name shows how it is used, by an example that runs as a test."""

from __future__ import annotations

import importlib
import inspect
from pkgutil import iter_modules

import pytest

import torchgeo_cloudseg

ROOMS = [room.name for room in iter_modules(torchgeo_cloudseg.__path__) if room.name[0] != '_']

#: Names without an example of their own, and where they are shown.
ELSEWHERE = {
    'PredictionWriter': 'MapDataModule',
    'RowBlockDataset': 'MapDataModule',
    'SceneDataset': 'tests/test_third_dataset.py, as all know a subclass from then on',
    'ScenePair': 'find_scenes',
    'load_reference_checkpoint': "docs/how_to/authors_weights.md, with the authors' files",
}


@pytest.mark.parametrize('room', ROOMS)
def test_public_names_have_an_example(room: str) -> None:
    module = importlib.import_module(f'torchgeo_cloudseg.{room}')
    names = {name: getattr(module, name) for name in getattr(module, '__all__', ())}
    without = [
        name
        for name, public in names.items()
        if _has_uses(public) and name not in ELSEWHERE and not _statements(inspect.getdoc(public))
    ]
    assert without == []


def _has_uses(public: object) -> bool:
    """Constants and names of types have no docstring; nobody makes errors but the package."""
    if inspect.isclass(public):
        return not issubclass(public, Exception)
    return inspect.isfunction(public)


def _statements(docstring: str | None) -> list[str]:
    """Statements of the examples that run."""
    lines = (docstring or '').splitlines()
    return [line for line in lines if line.strip().startswith('>>>') and 'SKIP' not in line]
