"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

SHARED = Path(os.environ.get('CLOUDSEG_SHARED', Path(__file__).parents[2] / 'shared'))

# two workers on two cores: more threads only get in each other's way
torch.set_num_threads(1)


@pytest.fixture(scope='session')
def golden() -> Path:
    """Folder of numbers recorded from the authors' code."""
    path = SHARED / 'golden'
    if not path.is_dir():
        pytest.skip(f'golden numbers not found in {path} (set CLOUDSEG_SHARED)')
    return path


@pytest.fixture(scope='session')
def real_root() -> Path:
    """Root of the real M3M-CR sample, which may not be redistributed."""
    path = SHARED / 'm3mcr-sample'
    if not path.is_dir():
        pytest.skip(f'real M3M-CR sample not found in {path} (set CLOUDSEG_SHARED)')
    return path
