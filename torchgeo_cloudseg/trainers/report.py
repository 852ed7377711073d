"""Test results as a table: on the screen, as JSON and as CSV."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table

#: Rows and columns of the table, in order, with their titles.
REGIONS = {'all': 'all pixels', 'clear': 'clear sky', 'cloudy': 'under clouds'}
SCORES = {
    'OA': 'overall accuracy',
    'mAcc': 'mean accuracy',
    'fwIoU': 'freq.-weighted IoU',
    'mIoU': 'mean IoU',
}


class RegionReport(Callback):
    """Print the test metrics by region and write them as JSON and CSV."""

    def __init__(self, dirpath: str | Path | None = None) -> None:
        """Initialize a new RegionReport instance.

        Args:
            dirpath: folder for ``test.json`` and ``test.csv`` (defaults to the folder of the
                logger, else to the current one).
        """
        super().__init__()
        self.dirpath = dirpath

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report when all is tested.

        Args:
            trainer: the trainer.
            pl_module: the task.
        """
        if not trainer.is_global_zero:
            return
        scores = {
            name.removeprefix('test_'): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith('test_')
        }
        folder = Path(self.dirpath or trainer.log_dir or '.')
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / 'test.json', scores)
        write_csv(folder / 'test.csv', scores)
        console = Console()
        console.print(region_table(scores, title=type(pl_module).__name__))
        console.print(f'Written to {folder / "test.json"} and {folder / "test.csv"}.')


def region_table(scores: Mapping[str, float], title: str = '') -> Table:
    """Metrics by region as a table for the terminal.

    Args:
        scores: flat metrics, named ``<region>_<score>``; IoU of a class is ``IoU_<class>``.
        title: title of the table.

    Returns:
        the table, in per cent.
    """
    table = Table(title=title or None)
    table.add_column('')
    for region in REGIONS.values():
        table.add_column(region, justify='right')
    for score in _score_names(scores):
        cells = [_percent(scores.get(f'{region}_{score}')) for region in REGIONS]
        table.add_row(SCORES.get(score, score.replace('IoU_', 'IoU ')), *cells)
    return table


def write_json(path: Path, scores: Mapping[str, float]) -> None:
    """Write metrics as JSON; NaN (nothing to measure) becomes null.

    Args:
        path: the file; complete or absent, never half written.
        scores: flat metrics.
    """
    plain = {name: None if value != value else value for name, value in scores.items()}
    _write_whole(path, json.dumps(plain, indent=2, sort_keys=True) + '\n')


def write_csv(path: Path, scores: Mapping[str, float]) -> None:
    """Write metrics by region as CSV: one line per score, one column per region.

    Args:
        path: the file; complete or absent, never half written.
        scores: flat metrics.
    """
    lines: list[Sequence[str]] = [['score', *REGIONS]]
    for score in _score_names(scores):
        values = [scores.get(f'{region}_{score}') for region in REGIONS]
        lines.append([score, *('' if v is None or v != v else repr(v) for v in values)])
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    with temporary.open('w', newline='') as file:
        csv.writer(file).writerows(lines)
    temporary.replace(path)


def _score_names(scores: Mapping[str, float]) -> list[str]:
    """Names of the scores that any region has, in their order."""
    names: dict[str, None] = {}
    for name in scores:
        region, _, score = name.partition('_')
        if region in REGIONS and score:
            names[score] = None
    return sorted(names, key=lambda score: list(SCORES).index(score) if score in SCORES else 99)


def _percent(value: float | None) -> str:
    return '-' if value is None or value != value else f'{100 * value:.2f}'


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    temporary.write_text(text)
    temporary.replace(path)
