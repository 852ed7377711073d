"""Test results as tables, by region and by scene: on the screen, as JSON and as CSV."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from pandas import DataFrame, isna
from rich.console import Console
from rich.table import Column, Table
from torch import Tensor
from torchmetrics.utilities.plot import plot_confusion_matrix

from .._files import replacing
from ..metrics import REGIONS, SceneScores, region_table
from ..metrics.calibration import calibration_table
from ..metrics.confusion import confusion_scores
from .reliability import reliability_figure

#: Titles of the regions and of the scores that need one.
REGION_TITLES = {'all': 'all pixels', 'clear': 'clear sky', 'cloudy': 'under clouds'}
SCORE_TITLES = {
    'OA': 'overall accuracy, %',
    'mAcc': 'mean accuracy, %',
    'fwIoU': 'freq.-weighted IoU, %',
    'mIoU': 'mean IoU, %',
    'PSNR': 'PSNR, dB',
    'SAM': 'spectral angle, rad',
    'ECE': 'calibration error, %',
    'coverage': 'coverage of sets, %',
    'set_size': 'classes in a set',
}

#: Scores that are no shares, and are printed as they are.
PLAIN_SCORES = ('PSNR', 'SSIM', 'MAE', 'SAM', 'set_size')

#: Inches per class and region in the figure.
CELL = 0.55

#: Scenes printed, those with the lowest mean IoU; the file lists all of them.
SCENES_SHOWN = 10


class RegionReport(Callback):
    """Print the test metrics, and write them as JSON, CSV and a figure.

    ``test.json`` and ``test.csv`` hold the metrics by region, ``test_scenes.csv`` those of every
    scene, and ``test.png`` the confusion matrix and the IoU of each class, by region.
    ``test_calibration.csv`` and ``test_reliability.png`` tell whether confidence was true, by
    region and by the opacity that the network predicts.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> report = RegionReport(folder)
        >>> trainer = Trainer(callbacks=report, accelerator='cpu', logger=False)
        >>> report.dirpath == folder
        True
    """

    def __init__(self, dirpath: str | Path | None = None) -> None:
        """Initialize a new RegionReport instance.

        Args:
            dirpath: folder for the files (defaults to the folder of the logger, else to the
                current one).
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
        task: Any = pl_module
        if confusion := getattr(task, 'test_confusion', None):
            titled = {REGION_TITLES[region]: counts for region, counts in confusion.items()}
            written.append(folder / 'test.png')
            with replacing(written[-1]) as draft:
                figure = confusion_figure(titled, task.test_metrics.labels)
                figure.savefig(draft, format='png', dpi=90)
        if (totals := getattr(task, 'test_reliability', None)) is not None:
            edges = task.test_calibration.edges
            written += [folder / 'test_calibration.csv', folder / 'test_reliability.png']
            _write_frame(written[-2], DataFrame(calibration_table(totals, edges, REGION_TITLES)))
            with replacing(written[-1]) as draft:
                figure = reliability_figure(totals, edges, REGION_TITLES)
                figure.savefig(draft, format='png', dpi=90)
        console = Console()
        console.print(score_table(scores, title=type(pl_module).__name__))
        if scenes := getattr(task, 'test_scenes', None):
            dataset = getattr(trainer.test_dataloaders, 'dataset', None)
            # our data loaders wrap theirs
            names = getattr(getattr(dataset, 'dataset', dataset), 'scene_names', None)
            frame = scene_frame(scenes, names)
            written.append(folder / 'test_scenes.csv')
            _write_frame(written[-1], frame)
            console.print(scene_table(frame))
        console.print(f'Written: {", ".join(str(path) for path in written)}.')


def score_table(scores: Mapping[str, float], title: str = '') -> Table:
    """Metrics by region as a table for the terminal.

    Args:
        scores: flat metrics, named ``<region>_<score>``.
        title: title of the table.

    Returns:
        the table; '-' where a region has no such score.
    """
    regions = (Column(REGION_TITLES[region], justify='right') for region in REGIONS)
    table = Table('', *regions, title=title or None)
    for row in region_table(scores):
        score = str(row['score'])
        share = ', %' if score.startswith('IoU_') else ''
        heading = SCORE_TITLES.get(score, score.replace('IoU_', 'IoU ') + share)
        table.add_row(heading, *(_cell(score, row[region]) for region in REGIONS))
    return table


def write_json(path: Path, scores: Mapping[str, float]) -> None:
    """Write metrics as JSON.

    Args:
        path: the file; complete or absent, never half written.
        scores: flat metrics.
    """
    with replacing(path) as draft:
        draft.write_text(json.dumps(dict(scores), indent=2, sort_keys=True) + '\n')


def write_csv(path: Path, scores: Mapping[str, float]) -> None:
    """Write metrics by region as CSV: one line per score, one column per region.

    Args:
        path: the file; complete or absent, never half written.
        scores: flat metrics.
    """
    _write_frame(path, DataFrame(region_table(scores), columns=['score', *REGIONS]))


def scene_frame(scenes: Iterable[SceneScores], names: Sequence[str] | None = None) -> DataFrame:
    """Scores of scenes as a table.

    Args:
        scenes: scores of each scene.
        names: names of all scenes of the data set, by position (defaults to the positions).

    Returns:
        one row per scene: ``scene``, ``epsg``, ``pixels`` (labeled ones), ``cloud_cover`` (0..1)
        and its scores, none where it has no such score.
    """
    return DataFrame(
        {
            'scene': names[scene.scene] if names is not None else str(scene.scene),
            'epsg': scene.epsg or '',
            'pixels': scene.pixels,
            'cloud_cover': scene.cloud_cover,
            **scene.scores,
        }
        for scene in scenes
    )


def scene_table(frame: DataFrame) -> Table:
    """The scenes with the lowest mean IoU, for the terminal.

    Args:
        frame: see :func:`scene_frame`.

    Returns:
        the table.
    """
    scores = [f'{region}_mIoU' for region in REGIONS]
    scored = frame.reindex(columns=['scene', 'cloud_cover', *scores]).dropna(subset='all_mIoU')
    shown = scored.sort_values('all_mIoU')[:SCENES_SHOWN]
    titles = ('clouds, %', *(f'mean IoU, {REGION_TITLES[region]}, %' for region in REGIONS))
    columns = (Column('scene', overflow='fold'), *(Column(t, justify='right') for t in titles))
    table = Table(*columns, title=f'Lowest mean IoU, {len(shown)} of {len(frame)} scenes')
    for scene, cover, *values in shown.itertuples(index=False):
        table.add_row(scene, f'{100 * cover:.0f}', *(_cell('mIoU', value) for value in values))
    return table


def confusion_figure(confusion: Mapping[str, Tensor], labels: Sequence[str]) -> Figure:
    """Draw confusion matrices and the IoU of each class, by region.

    Args:
        confusion: counts (K, K), [label][prediction], by title of the region.
        labels: names of the classes.

    Returns:
        the figure: a matrix per region, in per cent of each label, and bars of the IoU below.
    """
    side = max(3.0, CELL * len(labels) + 1.2)
    # no pyplot: a process may test many networks
    figure = Figure(figsize=(len(confusion) * side, 1.6 * side), layout='constrained')
    rows: list[Any] = [[*confusion], ['IoU'] * len(confusion)]
    axes = figure.subplot_mosaic(rows, height_ratios=(1.0, 0.55))
    iou = {}
    for title, counts in confusion.items():
        shares = 100 * counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        plot_confusion_matrix(shares.round().int(), axes[title], labels=[*labels], cmap='Blues')
        axes[title].set_title(title)
        scores = confusion_scores(counts, labels)
        iou[title] = [100 * scores.get(f'IoU_{name}', 0.0) for name in labels]
    DataFrame(iou, labels).plot.bar(ax=axes['IoU'], ylim=(0, 100), ylabel='IoU, %', rot=0)
    return figure


def _cell(score: str, value: Any) -> str:
    if isna(value):
        return '-'
    return f'{value:.3f}' if score in PLAIN_SCORES else f'{100 * value:.2f}'


def _write_frame(path: Path, frame: DataFrame) -> None:
    with replacing(path) as draft:
        frame.to_csv(draft, index=False, lineterminator='\r\n')
