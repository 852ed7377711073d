"""The grid of what is compared, and the configuration of each cell of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
GRID: dict[str, Any] = yaml.safe_load((HERE / 'grid.yaml').read_text())
RESULTS = HERE / 'results'
OUTPUT = Path('output/evidence')

#: Name of a cell's checkpoint: the last one, or the best one where the data set says by what.
CHOSEN = 'chosen'


@dataclass(frozen=True)
class Cell:
    """One training and its test."""

    data: str
    variant: str
    seed: int

    @property
    def name(self) -> str:
        return f'{self.data}/{self.variant}/{self.seed}'

    @property
    def result(self) -> Path:
        return RESULTS / f'{self.name}.json'

    @property
    def title(self) -> str:
        return str(GRID['variants'][self.variant]['title'])

    @property
    def teacher(self) -> Cell | None:
        variant = GRID['variants'][self.variant].get('teacher')
        return variant and Cell(self.data, variant, self.seed)


def parse(name: str) -> Cell:
    """The cell of a name such as ``ombria/student/0``."""
    data, variant, seed = name.split('/')
    if data not in GRID['data'] or variant not in GRID['variants']:
        known = f'{sorted(GRID["data"])} and {sorted(GRID["variants"])}'
        raise ValueError(f'{name}: expected <data>/<variant>/<seed> of {known}.')
    return Cell(data, variant, int(seed))


def cells(patterns: Sequence[str], more: bool = False) -> list[Cell]:
    """Cells of the grid, seed by seed: so there is a whole table whenever the time is up.

    Args:
        patterns: names, with ``*`` and ``?``; none for all core cells.
        more: all variants, not the core ones alone, where there are no patterns.
    """
    found = []
    for data, facts in GRID['data'].items():
        for seed in range(facts['seeds']):
            names = [*facts['core'], *(facts['more'] if seed < facts['seeds_of_more'] else [])]
            for variant in names:
                cell = Cell(data, variant, seed)
                wanted = any(fnmatch(cell.name, pattern) for pattern in patterns)
                if wanted or (not patterns and (more or variant in facts['core'])):
                    found.append(cell)
    # a name given in full is a cell, whether or not it is in the grid
    given = [parse(name) for name in patterns if not set(name) & set('*?[')]
    return list(dict.fromkeys([*found, *given]))


def merge(below: Any, above: Any) -> Any:
    """Put one configuration over another; an argument that is null above goes."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    merged = {key: value for key, value in below.items() if key not in above}
    for key, value in above.items():
        if value is not None:
            merged[key] = merge(below.get(key), value)
    return merged


def overlays(cell: Cell) -> list[Path]:
    """The files of which the configuration of a cell is made, from bottom to top."""
    folders = [cell.data]
    while below := GRID['data'][folders[0]].get('like'):
        folders.insert(0, below)
    names = ['base', *(f'{folder}/data' for folder in folders)]
    for overlay in GRID['variants'][cell.variant]['overlays']:
        names += [overlay, *(f'{folder}/{overlay}' for folder in folders)]
    files = [HERE / 'configs' / f'{name}.yaml' for name in names]
    return [file for file in files if file.is_file()]


def compose(
    cell: Cell,
    folder: Path,
    root: Path | None = None,
    teacher: Path | None = None,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Configuration of Lightning's command line for a cell.

    Args:
        cell: the cell.
        folder: where its checkpoint goes.
        root: root directory of the data.
        teacher: checkpoint of its teacher.
        changes: a last overlay.
    """
    checkpoint: dict[str, Any] = {
        'class_path': 'lightning.pytorch.callbacks.ModelCheckpoint',
        'init_args': {'dirpath': str(folder), 'filename': CHOSEN, 'enable_version_counter': False},
    }
    if monitor := GRID['data'][cell.data].get('monitor'):
        checkpoint['init_args'] |= {'monitor': monitor, 'mode': 'max'}
    own: dict[str, Any] = {
        'seed_everything': cell.seed,
        'trainer': {'callbacks': [checkpoint], 'default_root_dir': str(folder)},
        'data': {
            'init_args': {
                'root': str(root or GRID['data'][cell.data]['root']),
                'seed': cell.seed,
                'index_dir': str(OUTPUT / 'index'),
            }
        },
    }
    if teacher is not None:
        own['model'] = {'init_args': {'teacher': str(teacher)}}
    composed: dict[str, Any] = {}
    for layer in (
        *(yaml.safe_load(file.read_text()) for file in overlays(cell)),
        own,
        changes or {},
    ):
        composed = merge(composed, layer)
    return composed
