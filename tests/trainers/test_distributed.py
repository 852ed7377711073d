"""Two processes train as one does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name('distributed_run.py')


def run(root: Path, teacher: Path, output: Path, devices: int, strategy: str) -> dict[str, Any]:
    command = [sys.executable, SCRIPT, root, teacher, output, devices, strategy]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(output.read_text())
    return result


@pytest.mark.slow
def test_two_processes_train_as_one(miniature: Path, teacher_file: Path, tmp_path: Path) -> None:
    one = run(miniature, teacher_file, tmp_path / 'one.json', 1, 'auto')
    # plain DDP: no search for unused parameters
    two = run(miniature, teacher_file, tmp_path / 'two.json', 2, 'ddp')
    assert len(two['losses']) == 4
    assert two['losses'][0] == pytest.approx(one['losses'][0], rel=1e-12)
    assert two['losses'] == pytest.approx(one['losses'], rel=1e-6)
    # the same patches, each seen by one of the processes
    assert sorted(two['places']) == sorted(one['places'])
    for name in ('val_mIoU', 'val_cloudy_OA', 'train_OA'):
        assert two['scores'][name] == pytest.approx(one['scores'][name], abs=1e-6), name


@pytest.mark.slow
def test_sharded_parameters(tmp_path: Path) -> None:
    # Lightning's FSDP runs on GPUs only; what it wraps is this
    script, output = Path(__file__).with_name('sharded_run.py'), tmp_path / 'sharded.json'
    launch = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    done = subprocess.run(
        [sys.executable, *launch, str(script), str(output)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(output.read_text())
    for whole, sharded in (result['losses'], result['norms']):
        assert sharded == pytest.approx(whole, rel=1e-4)
