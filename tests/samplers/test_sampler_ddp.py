"""Lightning on two real processes: each sees its own part, together exactly the epoch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ddp_run
import pytest

from torchgeo_cloudseg.miniature.m3mcr import write_file_list

pytestmark = pytest.mark.slow

Result = dict[str, Any]


@pytest.fixture(scope='module')
def results(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Result]]:
    """What one process has seen, and what each of two."""
    output = tmp_path_factory.mktemp('ddp')
    lines = write_file_list(output / 'all.csv', miniature / 'train').read_text().splitlines()
    lists = []
    # scenes that two processes cannot share evenly, and too few for both
    for count in (3, 1):
        lists.append(str(output / f'{count}.csv'))
        Path(lists[-1]).write_text('\n'.join(lines[:count]) + '\n')
    ddp_run.run(str(miniature), str(output), 1, *lists)
    command = [sys.executable, ddp_run.__file__, str(miniature), str(output), '2', *lists]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    names = {1: ['1-0'], 2: ['2-0', '2-1']}
    return {
        devices: [json.loads((output / f'{name}.json').read_text()) for name in files]
        for devices, files in names.items()
    }


def patches(result: Result, stage: str, epoch: int) -> list[tuple[float, ...]]:
    return [
        tuple(place) for name, number, *place in result['seen'] if (name, number) == (stage, epoch)
    ]


def test_lightning_leaves_the_samplers_as_they_are(results: dict[int, list[Result]]) -> None:
    for result in results[1] + results[2]:
        assert result['samplers'] == {'train': 'RandomSceneSampler', 'val': 'GridSceneSampler'}


@pytest.mark.parametrize(('stage', 'count'), [('train', 8), ('val', 18)])
@pytest.mark.parametrize('epoch', [0, 1])
def test_two_processes_share_an_epoch(
    results: dict[int, list[Result]], stage: str, count: int, epoch: int
) -> None:
    parts = [patches(result, stage, epoch) for result in results[2]]
    # validation: 9 patches for each process, and so a last batch of one
    assert [len(part) for part in parts] == [count // 2, count // 2]
    assert not set(parts[0]) & set(parts[1])
    assert sorted(parts[0] + parts[1]) == sorted(patches(results[1][0], stage, epoch))


def test_random_epochs_differ_and_grids_do_not(results: dict[int, list[Result]]) -> None:
    for result in results[1] + results[2]:
        assert patches(result, 'train', 0) != patches(result, 'train', 1)
        assert patches(result, 'val', 0) == patches(result, 'val', 1)


def test_metrics_count_no_sample_twice(results: dict[int, list[Result]]) -> None:
    (one,) = results[1]
    # two scenes of 3 x 3 patches; three scenes, of which a process has two
    assert [score['samples'] for score in one['scores'][:2]] == [18, 3]
    for result in results[2]:
        for ours, expected in zip(result['scores'], one['scores'][:2], strict=True):
            assert ours == pytest.approx(expected, rel=1e-12)


def test_fewer_scenes_than_processes(results: dict[int, list[Result]]) -> None:
    assert results[1][0]['scores'][2]['samples'] == 1
    # said on the first process, whose messages are seen; none waits for the other
    message = '1 patches of the val split cannot be shared by 2 processes'
    assert message in results[2][0]['error']
