"""``cloudseg index`` as typed: scenes counted, every broken file named, exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.datasets.m3mcr.layout import LAYERS


@pytest.fixture
def tree(miniature: Path, tmp_path: Path) -> Path:
    """A copy of the miniature data set, to be damaged."""
    return Path(shutil.copytree(miniature, tmp_path / 'tree', ignore=shutil.ignore_patterns('.*')))


def file(tree: Path, key: str, scene: str) -> Path:
    (path,) = (tree / 'train').rglob(f'{LAYERS[key].folder}_{scene}{LAYERS[key].suffix}')
    return path


def run(*args: str | Path) -> int:
    """Exit code of a command line."""
    try:
        main(['index', *map(str, args)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def rewrite(path: Path, values: np.ndarray) -> None:
    with rasterio.open(path, 'r+') as raster:
        raster.write(values)


def damage(tree: Path) -> dict[Path, str]:
    """Break a file of each modality in six ways, two of which only its pixels tell."""
    found = {
        file(tree, 'image', 'fall_1_p_1'): 'no such file',
        file(tree, 'image_clear', 'fall_1_p_2'): 'an empty file',
        file(tree, 'mask_cloud', 'spring_2_p_1'): 'an empty file',
        file(tree, 'image_sar', 'spring_2_p_2'): '1 band(s)',
        file(tree, 'mask', 'summer_3_p_1'): 'label code(s) 33 (100.00%) of the pixels read',
        file(tree, 'image_sar', 'fall_1_p_2').with_name('S1_fall_1_p_2 (1).tif'): 'this name',
        file(tree, 'image_clear', 'summer_3_p_2'): 'no data (0) in every pixel',
    }
    for path, what in found.items():
        if what == 'no such file':
            path.unlink()
        elif what in ('an empty file', 'this name'):
            path.write_bytes(b'')
        elif 'band' in what:
            profile = {'crs': 'EPSG:32646', 'transform': rasterio.Affine(10, 0, 0, 0, -10, 0)}
            with rasterio.open(
                path, 'w', 'GTiff', 90, 90, count=1, dtype='float64', **profile
            ) as raster:
                raster.write(np.zeros((1, 90, 90)))
        elif 'label' in what:
            rewrite(path, np.full((1, 90, 90), 33, np.uint8))
        else:
            rewrite(path, np.zeros((4, 300, 300), np.uint16))
    return found


def report(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    return result


@pytest.mark.slow
def test_sound_data_set(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tree, '--json', tmp_path / 'report.json') == 0
    shown = capsys.readouterr().out
    assert '8 sound scenes, all pixels read: nothing is wrong.' in shown
    found = report(tmp_path / 'report.json')
    assert found == {
        'root': str(tree),
        'dataset': 'm3mcr',
        'quick': False,
        'ok': True,
        'scenes': 8,
        'scenes_by_split': {'test': 2, 'train': 4, 'val': 2},
        'scenes_by_zone': {'EPSG:32646': 8},
        'scenes_by_season': {'fall': 4, 'spring': 2, 'summer': 2},
        'problems': [],
    }
    # the splits are those of the data set
    assert {split: len(M3MCR(tree, split)) for split in M3MCR.splits} == found['scenes_by_split']
    for text in ('split', 'zone', 'season', 'EPSG:32646', 'summer'):
        assert text in shown


def test_every_broken_file_in_one_pass(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = damage(tree)
    assert run(tree, '--json', tmp_path / 'report.json') == 1
    found = report(tmp_path / 'report.json')
    assert not found['ok']
    assert found['scenes'] == 2
    problems = {Path(entry['file']): entry for entry in found['problems']}
    assert set(problems) == set(broken)
    for path, what in broken.items():
        assert what in problems[path]['found']
        assert problems[path]['expected']
        assert problems[path]['remedy']
    shown = capsys.readouterr().out
    assert '7 file(s) are missing, broken or odd' in shown
    assert all(path.name in shown for path in broken)


def test_quick_trusts_the_headers(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = damage(tree)
    assert run(tree, '--quick', '--json', tmp_path / 'report.json') == 1
    found = {Path(entry['file']) for entry in report(tmp_path / 'report.json')['problems']}
    seen_in_pixels = {path for path, what in broken.items() if 'label' in what or 'data' in what}
    assert found == set(broken) - seen_in_pixels
    assert 'headers read' in capsys.readouterr().out


def test_training_starts_from_the_index(tree: Path, tmp_path: Path) -> None:
    assert run(tree, '--quick', '--index_dir', tmp_path / 'index') == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'index').iterdir()}
    assert len(before) == 2  # the folders train and test
    M3MCR(tree, index_dir=tmp_path / 'index')
    M3MCR(tree, 'test', index_dir=tmp_path / 'index')
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / 'index').iterdir()} == before


def test_more_problems_than_are_shown(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('torchgeo_cloudseg.cli.index.SHOWN', 2)
    damage(tree)
    assert run(tree, '--quick') == 1
    assert '... and 3 more' in capsys.readouterr().out


@pytest.mark.parametrize('content', ['nothing', 'other', 'file'])
def test_no_data_set(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / 'root'
    if content == 'file':
        root.write_text('')
    else:
        (root / ('photos' if content == 'other' else '.')).mkdir(parents=True)
    assert run(root) == 1
    error = capsys.readouterr().err
    assert error.startswith(f'cloudseg index: {root}: found neither')
    assert 'Check the root' in error


def test_data_set_that_is_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, '--dataset', 'm3mcr') == 1
    assert 'found no scene of m3mcr' in capsys.readouterr().err
    assert run(tmp_path, '--dataset', 'landsat') == 2


def test_report_that_cannot_be_written(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tree, '--quick', '--json', tree / 'nowhere' / 'report.json') == 1
    assert 'nowhere' in capsys.readouterr().err


@pytest.mark.slow
def test_as_a_program(tree: Path) -> None:
    file(tree, 'image', 'fall_1_p_1').write_bytes(b'')
    program = 'from torchgeo_cloudseg.cli import main; main()'
    command = [sys.executable, '-c', program, 'index', str(tree)]
    script = Path(sys.executable).with_name('cloudseg')
    if script.exists():
        command[:3] = [str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    assert 'planet_cloudy_fall_1_p_1.tif' in done.stdout
    assert '7 sound scenes, all pixels read: 1 file(s)' in done.stdout
    assert 'Traceback' not in done.stderr
