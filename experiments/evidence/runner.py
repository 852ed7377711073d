"""Runs cells, each in a process of its own; a seed's teacher and its students are one unit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from . import tables
from .grid import CHOSEN, GRID, Cell, merge

#: Scores of a cell that is run again may differ by so much, on another processor.
TOLERANCE = 0.03

#: What makes a run a matter of seconds, to see whether everything fits.
DRY = {
    'trainer': {'max_epochs': 1, 'limit_train_batches': 1},
    'model': {'init_args': {'backbone': 'mit_b0', 'weights': None}},
    'data': {'init_args': {'batch_size': 2, 'num_workers': 0}},
}


def overlay(changes: Sequence[str], dry: bool = False) -> dict[str, Any]:
    """Changes of configurations, from ``key.key=value``."""
    made: dict[str, Any] = dict(DRY) if dry else {}
    for change in changes:
        path, _, text = change.partition('=')
        value: Any = yaml.safe_load(text)
        for key in reversed(path.split('.')):
            value = {key: value}
        made = merge(made, value)
    return made


def run(
    cells: Sequence[Cell],
    jobs: int = 1,
    root: Path | None = None,
    again: bool = False,
    keep: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    dry: bool = False,
) -> int:
    """Train and score the cells that are not recorded yet.

    Args:
        cells: the cells.
        jobs: units at a time.
        root: root directory of the data.
        again: run recorded cells, too, and compare; records stay as they are.
        keep: where the checkpoint goes, of one cell.
        changes: of all configurations; nothing is recorded then.
        dry: one step each, and nothing is recorded.

    Returns:
        how many cells failed, or were not what is recorded.
    """
    if keep is not None and len(cells) != 1:
        raise ValueError(
            f'--keep: found {len(cells)} cells, expected one, such as ombria/student/0.'
        )
    recording = not (changes or dry)
    if root is not None and not root.is_dir():
        raise FileNotFoundError(f'{root}: no such folder. Give the root of the data.')
    if recording and not again and keep is None:
        cells = [cell for cell in cells if not cell.result.is_file()]
    units: dict[tuple[str, int, str], list[Cell]] = {}
    for cell in cells:
        key = (cell.data, cell.seed, (cell.teacher or cell).variant)
        units.setdefault(key, []).append(cell)
    prepare({cell.data for cell in cells}, root)
    with ThreadPoolExecutor(jobs) as pool:
        done = pool.map(
            lambda unit: _run_unit(unit, root, again, keep, changes or {}, recording),
            units.values(),
        )
        return sum(done)


def prepare(data: set[str], root: Path | None) -> None:
    """Write the data that are made here."""
    place = root or Path(GRID['data'].get('m3mcr', {}).get('root', ''))
    if 'm3mcr' in data and not (place / 'test').is_dir():
        from torchgeo_cloudseg.miniature import write_miniature_m3mcr

        write_miniature_m3mcr(place, **GRID['data']['m3mcr']['miniature'])


def _run_unit(
    unit: Sequence[Cell],
    root: Path | None,
    again: bool,
    keep: Path | None,
    changes: Mapping[str, Any],
    recording: bool,
) -> int:
    failed = 0
    with tempfile.TemporaryDirectory(prefix='evidence-') as name:
        folder = Path(name)
        teachers = dict.fromkeys(cell.teacher for cell in unit if cell.teacher is not None)
        for cell in dict.fromkeys([*teachers, *unit]):
            mine = folder / cell.variant
            result = mine / 'record.json'
            args = ['cell', cell.name, f'--folder={mine}', f'--result={result}']
            args += [f'--changes={json.dumps(changes)}']
            args += [] if root is None else [f'--root={root}']
            if cell.teacher is not None:
                args += [f'--teacher={folder / cell.teacher.variant / CHOSEN}.ckpt']
            print(f'{cell.name}: started', flush=True)
            process = subprocess.run(
                [sys.executable, '-m', 'experiments.evidence', *args],
                env={**os.environ, 'PYTHONWARNINGS': 'ignore'},
                capture_output=True,
                text=True,
                check=False,
            )
            if process.returncode:
                print(f'{cell.name}: failed\n{process.stdout}{process.stderr}', flush=True)
                return failed + 1
            record = json.loads(result.read_text())
            scores = tables.summary(record)
            print(f'{cell.name}: {record["seconds"]:.0f} s, {scores}', flush=True)
            if keep is not None and cell in unit:
                shutil.copyfile(mine / f'{CHOSEN}.ckpt', keep)
            if recording and not cell.result.is_file():
                cell.result.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(result, cell.result)
            elif again and cell in unit:
                recorded = tables.summary(json.loads(cell.result.read_text()))
                apart = max(abs(scores[region] - recorded[region]) for region in recorded)
                print(f'{cell.name}: recorded {recorded}, {apart:.3f} apart', flush=True)
                failed += apart > TOLERANCE
    return failed
