"""Miniature data sets that may be damaged, for the tests of several rooms."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from torchgeo_cloudseg.datasets.m3mcr.layout import LAYERS

#: A scene of the data set `miniature`, and its area.
SCENE, AREA = 'fall_1_p_1', 'fall_1'

#: User without rights.
NOBODY = 65534

Find = Callable[..., Path]


def copy_tree(source: Path, target: Path) -> Path:
    """Copy a data set without its index, readable by everybody."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns('.*'))
    target.chmod(0o755)
    return target


@pytest.fixture
def tree(miniature: Path, tmp_path: Path) -> Path:
    """A copy of the miniature data set, to be damaged."""
    return copy_tree(miniature, tmp_path / 'tree')


@pytest.fixture(scope='session')
def find() -> Find:
    """Finds the file of a modality of a scene."""

    def find_file(root: Path, key: str, scene: str = SCENE, split: str = 'train') -> Path:
        area = scene.rpartition('_p_')[0]
        kind = LAYERS[key].folder
        folder = root / split / f'{kind}_{area.partition("_")[0]}' / f'{kind}_{area}'
        return folder / f'{kind}_{scene}{LAYERS[key].suffix}'

    return find_file


class OrdinaryUser:
    """Acts as a user to whom permissions apply, which they do not to root."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Be an ordinary user for a while."""
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(user)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType, str], list[str]]:
    """Lists the files that a function of a module is called with; nothing is replaced."""

    def start(module: ModuleType, name: str) -> list[str]:
        files: list[str] = []
        function = getattr(module, name)

        def note(file: str, *args: Any) -> Any:
            files.append(Path(file).name)
            return function(file, *args)

        monkeypatch.setattr(module, name, note)
        return files

    return start


@pytest.fixture
def lend() -> Iterator[Callable[[Path], OrdinaryUser]]:
    """Gives an ordinary user a copy of a data set that belongs to somebody else."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)

        def copy(source: Path) -> OrdinaryUser:
            copy_tree(source, Path(folder) / 'tree')
            return OrdinaryUser(Path(folder) / 'tree')

        yield copy


@pytest.fixture
def ordinary_user(lend: Callable[[Path], OrdinaryUser], miniature: Path) -> OrdinaryUser:
    """An ordinary user, with a copy of the miniature data set."""
    return lend(miniature)


@pytest.fixture(autouse=True)
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, which no test shares with another."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'user-cache'))
    monkeypatch.delenv('CLOUDSEG_CACHE', raising=False)
    return tmp_path / 'user-cache'
