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
from ..datasets import LandCoverClass, SceneSpec
from ..datasets.rendering import draw_image, draw_labels, legend_patches, stretch
from ..trainers import CloudSegTask
from ..trainers.evaluation import label_size
from ..trainers.report import REGION_TITLES

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
def draw(task: CloudSegTask, scenes: Sequence[dict[str, Any]], spec: SceneSpec) -> Figure:
    """Draw test scenes: cloudy, cloud-free, reconstruction, prediction, truth.

    Args:
        task: the student.
        scenes: batches of one scene, images in 0..1.
        spec: bands, names and colors of their data set.

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
    bands = list(spec.rgb)
    classes = zip(spec.class_names, spec.class_colors, strict=True)
    legend = [LandCoverClass(name, (), color) for name, color in classes]
    for axes, scene in zip(grid, scenes, strict=True):
        prediction = task.slide(scene, label_size(scene['mask']))[0].argmax(dim=0)
        restored = task(*task.inputs(scene)).reconstruction
        limits = 0.0, float(np.percentile(scene['image_clear'][0, bands], 97))
        images = scene['image'], scene['image_clear'], restored
        for panel, image in zip(axes, images, strict=False):
            draw_image(panel, stretch(image[0, bands], limits))
        draw_labels(axes[3], prediction, legend)
        draw_labels(axes[4], scene['mask'][0], legend)
    for panel, title in zip(grid[0], TITLES, strict=True):
        panel.set_title(title)
    figure.legend(
        handles=legend_patches(legend),
        loc='outside lower center',
        ncols=len(legend) + 1,
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
