"""Figure of a test: what was taken for what, and how well each class was found, by region."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pandas import DataFrame
from torch import Tensor
from torchmetrics.utilities.plot import plot_confusion_matrix

from .._files import replacing
from ..metrics.confusion import confusion_scores

#: Inches per class and region.
CELL = 0.55


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


def save_confusion(path: Path, confusion: Mapping[str, Tensor], labels: Sequence[str]) -> None:
    """Save the figure; the file is complete or absent, never half written.

    Args:
        path: PNG file.
        confusion: see :func:`confusion_figure`.
        labels: names of the classes.
    """
    with replacing(path) as draft:
        confusion_figure(confusion, labels).savefig(draft, format='png', dpi=90)
