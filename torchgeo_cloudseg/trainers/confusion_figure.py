"""Figure of a test: what was taken for what, and how well each class was found, by region."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

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
    count = len(labels)
    side = max(3.0, CELL * count + 1.2)
    figure = Figure(figsize=(len(confusion) * side, 1.6 * side), layout='constrained')
    # no pyplot: a process may test many networks
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, len(confusion), height_ratios=(1.0, 0.55))
    axes_row = [figure.add_subplot(grid[0, column]) for column in range(len(confusion))]
    for axes, (title, counts) in zip(axes_row, confusion.items(), strict=True):
        shares = counts.double() / counts.sum(dim=1, keepdim=True).clamp(min=1)
        axes.imshow(shares.numpy(), cmap='Blues', vmin=0, vmax=1)
        for row, col in np.ndindex(count, count):
            share = float(shares[row, col])
            color = 'white' if share > 0.5 else 'black'
            axes.text(col, row, f'{100 * share:.0f}', ha='center', va='center', color=color)
        axes.set_xticks(range(count), labels, rotation=45, ha='right')
        axes.set_yticks(range(count), labels)
        axes.set_title(title)
        axes.set_xlabel('predicted')
    axes_row[0].set_ylabel('label')
    axes = figure.add_subplot(grid[1, :])
    width = 0.8 / len(confusion)
    for number, (title, counts) in enumerate(confusion.items()):
        scores = confusion_scores(counts, labels)
        heights = [100 * scores.get(f'IoU_{name}', 0.0) for name in labels]
        places = np.arange(count) + (number - (len(confusion) - 1) / 2) * width
        axes.bar(places, heights, width, label=title)
    axes.set_xticks(range(count), labels)
    axes.set_ylim(0, 100)
    axes.set_ylabel('IoU, %')
    axes.legend(frameon=False)
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
