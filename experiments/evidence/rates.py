"""Which learning rate: one seed of each architecture, the validation fold, a third of the steps."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from torchgeo_cloudseg.cli import lightning as command

from .cell import load, machine, score, write_record
from .grid import CHOSEN, Cell, compose
from .tables import rates_file, summary

#: What is tried, and a variant of each architecture.
TRIED = (3e-4, 1e-3, 3e-3)
VARIANTS = ('sar', 'early-clouds', 'torchgeo', 'plain', 'lite')


def search(data: str = 'ombria', root: Path | None = None) -> dict[str, Any]:
    """Scores by variant and rate; what is recorded is not tried again.

    Args:
        data: name of the data.
        root: root directory of the data.
    """
    file = rates_file()
    record: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    steps = json.loads(Cell(data, 'early-clouds', 0).result.read_text())['steps'] // 3
    record |= {'data': data, 'steps': steps}
    scores = record.setdefault('scores', {})
    for variant in VARIANTS:
        cell = Cell(data, variant, 0)
        for rate in TRIED:
            if f'{rate:g}' in scores.get(variant, {}):
                continue
            print(f'{variant}, {rate:g}: started', flush=True)
            found = _try(cell, {'max_steps': steps, 'max_epochs': None}, rate, root)
            print(f'{variant}, {rate:g}: {found}', flush=True)
            scores.setdefault(variant, {})[f'{rate:g}'] = found
            write_record(file, record | {'machine': machine()})
    return record


def _try(cell: Cell, trainer: dict[str, Any], rate: float, root: Path | None) -> dict[str, float]:
    """Scores by region on the validation fold."""
    with tempfile.TemporaryDirectory(prefix='evidence-') as name:
        folder = Path(name)
        changes = {'trainer': trainer, 'model': {'init_args': {'lr': rate}}}
        config = compose(cell, folder, root, changes=changes)
        path = folder / 'cell.yaml'
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        command.run('fit', ['--config', str(path)])
        task = load(config, folder / f'{CHOSEN}.ckpt')
        found, _ = score(cell, task, config, root, fold='val')
    return summary({'cell': cell.name, 'scores': {'test': found}})
