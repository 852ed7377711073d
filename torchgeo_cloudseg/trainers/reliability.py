"""Whether confidence was true in a test: a table and a diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ..metrics.calibration import BINS, PART, calibration_scores, opacity_titles
from ..metrics.regions import by_region

#: Height and width of a diagram, in inches.
SIZE = 4.4, 3.6


def reliability_figure(totals: Tensor, edges: Sequence[float], titles: Mapping[str, str]) -> Figure:
    """Draw how often pixels are right, over how sure the network is (a reliability diagram).

    Args:
        totals: sums over the pixels of a test, see
            :meth:`~torchgeo_cloudseg.metrics.CalibrationMetrics.totals`.
        edges: opacities at which bins meet.
        titles: titles of the regions.

    Returns:
        the figure: for each region bars of accuracy by confidence beside the diagonal on which
        confidence is true, and the share of the pixels below; bins of the opacity as lines.
    """
    regions = by_region(totals.sum(dim=(0, 2)))
    columns = [titles[region] for region in regions] + ['by opacity'] * bool(edges)
    height, width = SIZE
    # no pyplot: a process may test many networks
    figure = Figure(figsize=(len(columns) * width, height), layout='constrained')
    rows: list[Any] = [columns, [f'{column}, pixels' for column in columns]]
    axes = figure.subplot_mosaic(rows, height_ratios=(1.0, 0.3))
    middles = (np.arange(BINS) + 0.5) / BINS
    by_bin = dict(zip(opacity_titles(edges), totals.sum(dim=(0, 1)), strict=False))
    for column, sums in [*zip(columns, regions.values(), strict=False), *by_bin.items()]:
        name = column if column in axes else columns[-1]
        scores = calibration_scores(sums)
        if not scores:
            continue
        pixels, right, confidence = sums.double().numpy()[:, :3].T
        there = pixels > 0
        sure = confidence[there] * PART / pixels[there]
        accuracy, shares = right[there] / pixels[there], pixels / pixels.sum()
        error = f'ECE {float(scores["ECE"]):.3f}'
        top, below = axes[name], axes[f'{name}, pixels']
        if name == column:
            top.bar(middles[there], accuracy, 1 / BINS, color='#9ecae1', edgecolor='white')
            top.plot(sure, accuracy, 'o', color='#08519c', markersize=3)
            top.set_title(f'{column}, {error}', fontsize=10)
            below.bar(middles, shares, 1 / BINS, color='#9ecae1', edgecolor='white')
        else:
            label = f'{column.removeprefix("opacity ")}: {error}'
            top.plot(sure, accuracy, 'o-', markersize=3, label=label)
            below.step(middles, shares, where='mid')
    for name in columns:
        axes[name].plot([0, 1], [0, 1], '--', color='#555555', linewidth=1)
        axes[name].set(xlim=(0, 1), ylim=(0, 1), xticklabels=[])
        axes[f'{name}, pixels'].set(xlim=(0, 1), xlabel='confidence')
    if edges:
        axes[columns[-1]].set_title('by predicted opacity', fontsize=10)
        axes[columns[-1]].legend(fontsize=7, loc='upper left')
    axes[columns[0]].set_ylabel('share of pixels that are right')
    axes[f'{columns[0]}, pixels'].set_ylabel('share')
    return figure
