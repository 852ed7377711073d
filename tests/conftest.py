"""Fixtures that several rooms share."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from golden.weights import golden_tensor
from helpers import save_untrained
from hypothesis import settings
from torch import Tensor

from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.trainers import CloudSegTeacherTask

#: Where the real sample is, with what the authors' code makes of it: not for redistribution.
SHARED = Path(os.environ.get('CLOUDSEG_SHARED', Path(__file__).parents[2] / 'shared'))

# two workers on two cores: more threads only get in each other's way
torch.set_num_threads(1)

# other examples in every run: few at a time will do
settings.register_profile('few', max_examples=15, deadline=None)
settings.load_profile('few')


@pytest.fixture(autouse=True)
def _own_process() -> Iterator[None]:
    """What a command sets up for its process is gone before the next test."""
    environment = dict(os.environ)
    loggers = [logging.getLogger(name) for name in ('torchgeo_cloudseg', 'lightning.pytorch')]
    levels = [logger.level for logger in loggers]
    yield
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope='session')
def golden() -> Path:
    """Folder of numbers recorded from the authors' code; its README says how."""
    return Path(__file__).parent / 'golden'


@pytest.fixture(scope='session')
def real_golden() -> Path:
    """Folder of numbers that the authors' code gave on the real sample."""
    path = SHARED / 'golden'
    if not path.is_dir():
        pytest.skip(f'golden numbers of real data not found in {path} (set CLOUDSEG_SHARED)')
    return path


@pytest.fixture(scope='session')
def real_root() -> Path:
    """Root of the real M3M-CR sample, which may not be redistributed."""
    path = SHARED / 'm3mcr-sample'
    if not path.is_dir():
        pytest.skip(f'real M3M-CR sample not found in {path} (set CLOUDSEG_SHARED)')
    return path


@pytest.fixture(scope='session')
def golden_inputs() -> tuple[Tensor, Tensor]:
    """Optical and SAR images of which the golden outputs were made."""
    g = torch.Generator().manual_seed(0)
    optical = torch.rand(1, 4, 160, 160, generator=g)
    return optical, torch.rand(1, 2, 160, 160, generator=g)


@pytest.fixture(scope='session')
def released_network(golden: Path) -> Callable[[str], dict[str, Tensor]]:
    """Makes the state dict of a released file, dead parameters included."""

    def make(kind: str) -> dict[str, Tensor]:
        entries = json.loads((golden / f'{kind}_state_dict.json').read_text())['state_dict']
        return {name: golden_tensor(name, shape) for name, shape in entries}

    return make


@pytest.fixture(scope='session')
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Miniature M3M-CR in one UTM zone: 3 training areas and a test area of two patches each."""
    root = tmp_path_factory.mktemp('miniature')
    return write_miniature_m3mcr(
        root, seed=1, train_areas=3, test_areas=1, patches_per_area=2, progress=False
    )


@pytest.fixture(scope='session')
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of an untrained teacher."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp('teacher') / 'teacher.ckpt'
    return save_untrained(CloudSegTeacherTask(backbone='mit_b0'), path)
