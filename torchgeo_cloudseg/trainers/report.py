"""Test results as a table: on the screen, as JSON and as CSV."""

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table

from ..metrics import REGIONS, RegionMetrics, region_table
from .confusion_figure import save_confusion

#: Titles of the regions and of the scores that need one.
REGION_TITLES = {'all': 'all pixels', 'clear': 'clear sky', 'cloudy': 'under clouds'}
SCORE_TITLES = {
    'OA': 'overall accuracy, %',
    'mAcc': 'mean accuracy, %',
    'fwIoU': 'freq.-weighted IoU, %',
    'mIoU': 'mean IoU, %',
    'PSNR': 'PSNR, dB',
    'SAM': 'spectral angle, rad',
}

#: Scores that are no shares, and are printed as they are.
PLAIN_SCORES = ('PSNR', 'SSIM', 'MAE', 'SAM')


class RegionReport(Callback):
    """Print the test metrics by region, and write them as JSON, CSV and a figure.

    The figure shows the confusion matrix and the IoU of each class, by region.
    """

    def __init__(self, dirpath: str | Path | None = None) -> None:
        """Initialize a new RegionReport instance.

        Args:
            dirpath: folder for ``test.json``, ``test.csv`` and ``test.png`` (defaults to the folder
                of the logger, else to the current one).
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
        written = [folder / 'test.json', folder / 'test.csv']
        metrics, confusion = pl_module.test_metrics, getattr(pl_module, 'test_confusion', None)
        if isinstance(metrics, RegionMetrics) and confusion is not None:
            titled = {REGION_TITLES[region]: counts for region, counts in confusion.items()}
            written.append(folder / 'test.png')
            save_confusion(written[-1], titled, metrics.labels)
        console = Console()
        console.print(score_table(scores, title=type(pl_module).__name__))
        console.print(f'Written: {", ".join(str(path) for path in written)}.')


def score_table(scores: Mapping[str, float], title: str = '') -> Table:
    """Metrics by region as a table for the terminal.

    Args:
        scores: flat metrics, named ``<region>_<score>``.
        title: title of the table.

    Returns:
        the table; '-' where a region has no such score.
    """
    table = Table(title=title or None)
    table.add_column('')
    for region in REGIONS:
        table.add_column(REGION_TITLES[region], justify='right')
    for row in region_table(scores):
        score = str(row['score'])
        heading = SCORE_TITLES.get(score, score.replace('IoU_', 'IoU ') + _unit(score))
        table.add_row(heading, *(_cell(score, row[region]) for region in REGIONS))
    return table


def write_json(path: Path, scores: Mapping[str, float]) -> None:
    """Write metrics as JSON.

    Args:
        path: the file; complete or absent, never half written.
        scores: flat metrics.
    """
    _write_whole(path, json.dumps(dict(scores), indent=2, sort_keys=True) + '\n')


def write_csv(path: Path, scores: Mapping[str, float]) -> None:
    """Write metrics by region as CSV: one line per score, one column per region.

    Args:
        path: the file; complete or absent, never half written.
        scores: flat metrics.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, ['score', *REGIONS])
    writer.writeheader()
    writer.writerows(region_table(scores))
    _write_whole(path, text.getvalue())


def _unit(score: str) -> str:
    return ', %' if score.startswith('IoU_') else ''


def _cell(score: str, value: str | float | None) -> str:
    if not isinstance(value, float):
        return '-'
    return f'{value:.3f}' if score in PLAIN_SCORES else f'{100 * value:.2f}'


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f'.{path.name}.{os.getpid()}')
    temporary.write_text(text)
    temporary.replace(path)
