"""Which learning rate: one seed of each architecture, the validation fold, a third of the steps."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from .cell import load, machine, score, train, write_record
from .details import rates_file
from .grid import Cell, compose
from .tables import summary

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
            found = _try(cell, steps, rate, root)
            print(f'{variant}, {rate:g}: {found}', flush=True)
            scores.setdefault(variant, {})[f'{rate:g}'] = found
            write_record(file, record | {'machine': machine()})
    return record


def _try(cell: Cell, steps: int, rate: float, root: Path | None) -> dict[str, float]:
    """Scores by region on the validation fold."""
    with tempfile.TemporaryDirectory(prefix='evidence-') as name:
        folder = Path(name)
        changes = {
            'trainer': {'max_steps': steps, 'max_epochs': None},
            'model': {'init_args': {'lr': rate}},
        }
        config = compose(cell, folder, root, changes=changes)
        task = load(config, train(config, folder))
        found, _ = score(cell, task, config, root, fold='val')
    return summary({'cell': cell.name, 'scores': {'test': found}})
