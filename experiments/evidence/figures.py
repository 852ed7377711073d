"""Figures of the records."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from torchgeo_cloudseg._files import replacing

from .grid import GRID
from .tables import REGIONS, bootstrap, interval, iou, labels_of, ordered, records, stack

TITLES = dict(zip(REGIONS, ('under clouds', 'clear sky', 'all pixels'), strict=True))
COLORS = dict(zip(REGIONS, ('#3b6ea8', '#e0a030', '#888888'), strict=True))

#: Edges of the shares of a scene under clouds, and their names.
COVER = (0.0, 0.01, 0.2, 0.5, 1.01)
COVER_TITLES = ('under 1', '1 to 20', '20 to 50', 'over 50')


def draw(output: Path) -> list[Path]:
    """Draw what is recorded.

    Args:
        output: folder for the figures.

    Returns:
        the files.
    """
    output.mkdir(parents=True, exist_ok=True)
    written = []
    for data in GRID['data']:
        if found := records(data):
            for name, figure in (('', bars(data, found)), ('-cover', by_cover(data, found))):
                written.append(output / f'evidence-{data}{name}.png')
                with replacing(written[-1]) as draft:
                    figure.savefig(draft, format='png', dpi=90)
    return written


def bars(data: str, found: dict[str, Any]) -> Figure:
    """Mean scores of each variant under clouds and in clear sky, with 95 % intervals."""
    score, labels, variants = GRID['data'][data]['score'], labels_of(data), ordered(found)
    figure = Figure(figsize=(9, 0.55 * len(variants) + 1.6), layout='constrained')
    axes = figure.subplots()
    for row, variant in enumerate(variants):
        stacked = stack(found[variant], sorted(found[variant]))
        means = iou(stacked.sum(axis=1), score, labels).mean(axis=0)
        (drawn,) = bootstrap([stacked], score, labels)
        for region in (0, 1):
            low, high = interval(drawn[:, region])
            value, where = 100 * float(means[region]), row + 0.38 * region - 0.19
            reach = [[max(value - 100 * low, 0)], [max(100 * high - value, 0)]]
            axes.barh(where, value, 0.36, color=COLORS[REGIONS[region]], xerr=reach, capsize=2)
    names = [fill(GRID['variants'][name]['title'], 40) for name in variants]
    axes.set_yticks(range(len(variants)), names)
    axes.invert_yaxis()
    axes.set_xlabel(_named(score))
    axes.set_title(GRID['data'][data]['title'])
    for region in REGIONS[:2]:
        axes.barh(0, 0, color=COLORS[region], label=TITLES[region])
    figure.legend(loc='outside lower right', ncols=2)
    return figure


def by_cover(data: str, found: dict[str, Any]) -> Figure:
    """Mean scores of core variants over all pixels of scenes, by their share of clouds."""
    score, labels = GRID['data'][data]['score'], labels_of(data)
    figure = Figure(figsize=(9, 5), layout='constrained')
    axes = figure.subplots()
    for variant in (name for name in ordered(found) if name in GRID['data'][data]['core']):
        stacked = stack(found[variant], sorted(found[variant]))
        groups = cover_groups(stacked)
        shown = [group for group in range(len(COVER_TITLES)) if (groups == group).any()]
        values = [
            100 * iou(stacked[:, groups == group, 2].sum(axis=1), score, labels).mean()
            for group in shown
        ]
        names = [f'{COVER_TITLES[g]} %\n({int((groups == g).sum())} scenes)' for g in shown]
        axes.plot(names, values, marker='o', label=GRID['variants'][variant]['title'])
    axes.set_xlabel('share of the scene under clouds')
    axes.set_ylabel(_named(score))
    figure.legend(loc='outside lower center', ncols=2, fontsize='small')
    return figure


def cover_groups(stacked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position in :data:`COVER` of each scene of (seed, scene, region, label, prediction)."""
    cloudy, _, every = np.moveaxis(stacked[0].sum(axis=(-2, -1)), 1, 0)
    groups: NDArray[np.int64] = np.digitize(cloudy / np.maximum(every, 1), COVER) - 1
    return groups


def _named(score: str) -> str:
    return 'mean IoU, %' if score == 'mIoU' else f'IoU of {score.removeprefix("IoU_")}, %'
