"""The benchmark that is to run on a GPU, on a CPU with small sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / 'experiments/benchmarks/gpu.sh'


@pytest.mark.slow
def test_dry_run_writes_all_figures(tmp_path: Path) -> None:
    done = subprocess.run(
        [SCRIPT, tmp_path, '--dry'],
        env={**os.environ, 'PYTHON': sys.executable},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    step = json.loads((tmp_path / 'step-float32.json').read_text())
    assert {'ours', 'baseline'} <= set(step['step'])
    assert step['largest_logit_difference'] < 1e-3
    training = json.loads((tmp_path / 'training.json').read_text())
    assert all(run['samples_per_s'] > 0 for run in training['runs'].values())
    assert set(training['runs']) == {'32-true', 'bf16-mixed'}


def test_a_part_that_fails_is_said(tmp_path: Path) -> None:
    done = subprocess.run(
        [SCRIPT, tmp_path, '--dry'],
        env={**os.environ, 'PYTHON': 'false'},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert 'training: exit status 1' in done.stderr
