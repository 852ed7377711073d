"""What ``cloudseg demo`` shows: a table and a figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.table import Table

from .._files import replacing
from ..datasets.plotting import draw_labels, legend_patches
from ..trainers import CloudSegTask
from ..trainers.batches import label_size
from ..trainers.report import REGION_TITLES
from .demo_data import DemoData

TITLES = ('cloudy', 'cloud-free', 'reconstruction', 'prediction', 'truth')


def summary(title: str, scores: Mapping[str, Mapping[str, float]]) -> Table:
    """Mean IoU by region and overall accuracy, one row per network.

    Args:
        title: title of the table.
        scores: metrics by region, by name of the network.

    Returns:
        the table, in per cent.
    """
    table = Table(title=title)
    table.add_column('network and image')
    columns = [('mIoU', region) for region in REGION_TITLES] + [('OA', 'all')]
    for score, region in columns:
        table.add_column(f'{score}\n{REGION_TITLES[region]}', justify='right')
    for name, values in scores.items():
        cells = [f'{100 * values[f"{region}_{score}"]:.1f}' for score, region in columns]
        table.add_row(name, *cells)
    return table


@torch.no_grad()
def draw(task: CloudSegTask, scenes: Sequence[dict[str, Any]], data: DemoData) -> Figure:
    """Draw test scenes: cloudy, cloud-free, reconstruction, prediction, truth.

    Args:
        task: the student.
        scenes: batches of one scene, images in 0..1.
        data: their data set.

    Returns:
        the figure, one row per scene.
    """
    task.eval()
    figure, grid = plt.subplots(
        len(scenes),
        len(TITLES),
        figsize=(11, 2.25 * len(scenes)),
        squeeze=False,
        layout='constrained',
    )
    bands = list(data.rgb)
    for axes, scene in zip(grid, scenes, strict=True):
        prediction = task.slide(scene, label_size(scene['mask']))[0].argmax(dim=0)
        restored = task(*task.inputs(scene)).reconstruction
        white = float(np.percentile(scene['image_clear'][0, bands], 97))
        for panel, image in zip(
            axes, (scene['image'], scene['image_clear'], restored), strict=False
        ):
            panel.imshow((image[0, bands] / white).clamp(0, 1).movedim(0, -1).numpy())
            panel.set_axis_off()
        draw_labels(axes[3], prediction, data.legend)
        draw_labels(axes[4], scene['mask'][0], data.legend)
    for panel, title in zip(grid[0], TITLES, strict=True):
        panel.set_title(title)
    figure.legend(
        handles=legend_patches(data.legend),
        loc='outside lower center',
        ncols=len(data.legend) + 1,
    )
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure; the file is complete or absent, never half written.

    Args:
        figure: the figure.
        path: PNG file.
    """
    with replacing(path) as draft:
        figure.savefig(draft, format='png', dpi=90)
    plt.close(figure)
