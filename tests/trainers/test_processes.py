"""Processes that share scenes unevenly, that die, and that are preempted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from torchgeo_cloudseg.miniature import write_miniature_m3mcr

SCRIPT = Path(__file__).with_name('preempted_run.py')

#: Seconds after which a process counts as stuck, however busy the machine is.
LIMIT_S = 1200

#: What srun tells a job of one task.
SLURM = {
    'SLURM_JOB_ID': '4711', 'SLURM_NTASKS': '1', 'SLURM_PROCID': '0', 'SLURM_LOCALID': '0',
    'SLURM_NODEID': '0', 'SLURM_JOB_NAME': 'training', 'SLURM_NNODES': '1',
    'SLURM_NTASKS_PER_NODE': '1', 'SLURM_NODELIST': 'localhost',
}  # fmt: skip


def run(
    root: Path, folder: Path, devices: int = 1, step: int = 0, what: str = 'none',
    resumed: Path | None = None, **environment: str,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    folder.mkdir(exist_ok=True)
    command = [sys.executable, SCRIPT, root, folder, devices, step, what]
    command += [] if resumed is None else [resumed]
    return subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )


def losses(folder: Path) -> dict[int, float]:
    lines = (folder / 'losses.jsonl').read_text().splitlines()
    return dict(json.loads(line) for line in lines)


@pytest.mark.slow
def test_uneven_scenes_count_once(tmp_path: Path) -> None:
    root = write_miniature_m3mcr(
        tmp_path / 'data', seed=1, train_areas=2, test_areas=1, patches_per_area=3, progress=False
    )
    one, two = tmp_path / 'one', tmp_path / 'two'
    for folder, devices in ((one, 1), (two, 2)):
        done = run(root, folder, devices)
        assert done.returncode == 0, done.stderr
    counts = [json.loads((folder / 'scenes.json').read_text()) for folder in (one, two)]
    assert len(counts[0]) == 3
    assert counts[0] == counts[1]


@pytest.mark.slow
def test_more_processes_than_scenes_are_refused_by_all(tmp_path: Path) -> None:
    root = write_miniature_m3mcr(
        tmp_path / 'data', seed=1, train_areas=2, test_areas=1, patches_per_area=1, progress=False
    )
    done = run(root, tmp_path / 'run', 2)
    assert done.returncode != 0
    assert '1 patches of the val split cannot be shared by 2 processes' in done.stderr


@pytest.mark.slow
def test_a_dead_process_ends_the_others(miniature: Path, tmp_path: Path) -> None:
    done = run(miniature, tmp_path / 'run', 2, 2, 'die')
    taken = time.time() - float((tmp_path / 'run' / 'died').read_text())
    assert done.returncode != 0
    # torch's own patience ends after half an hour; without load it takes seconds
    assert taken < LIMIT_S / 2
    assert done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('what', ['SIGTERM', 'SIGUSR1'])
def test_preempted_training_goes_on(miniature: Path, tmp_path: Path, what: str) -> None:
    whole, stopped = tmp_path / 'whole', tmp_path / 'stopped'
    assert run(miniature, whole).returncode == 0
    # what SLURM does with a job that is requeued
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/requeued\nkill -TERM $PPID\n')
    scontrol.chmod(0o755)
    path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
    slurm = {**SLURM, 'PATH': path} if what == 'SIGUSR1' else {}
    done = run(miniature, stopped, 1, 2, what, **slurm)
    # Lightning ends the process with status 0, but ends it
    assert not (stopped / 'scenes.json').exists(), done.stderr
    name = 'hpc_ckpt_1.ckpt' if slurm else 'last.ckpt'
    assert torch.load(stopped / name, weights_only=True)['global_step'] == 2
    if slurm:
        assert (tmp_path / 'requeued').read_text() == 'requeue 4711\n'
    # a requeued job is the same command
    done = run(miniature, stopped, resumed=None if slurm else stopped / name, **slurm)
    assert done.returncode == 0, done.stderr
    assert losses(stopped) == pytest.approx(losses(whole), rel=1e-5)
