"""Figures of samples: images, masks, and labels with their legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from .legend import LandCoverClass
from .rendering import draw_image, draw_labels, legend_patches, stretch, to_numpy, value_range

#: Optical images with their titles, in the order of the panels.
OPTICAL_TITLES = {
    'image': 'Cloudy',
    'image_clear': 'Cloud-free',
    'reconstruction': 'Reconstruction',
}
LABEL_TITLES = {'mask': 'Label', 'prediction': 'Prediction'}

#: Width of a panel and of a class in the legend, in inches.
PANEL_WIDTH = 3.2
ENTRY_WIDTH = 1.9


def plot_sample(
    sample: dict[str, Any],
    legend: Sequence[LandCoverClass],
    rgb: tuple[int, int, int],
    sar_range: tuple[float, float],
    show_titles: bool = True,
    suptitle: str | None = None,
) -> Figure:
    """Plot every modality of a sample side by side.

    Args:
        sample: any of ``image``, ``image_clear``, ``reconstruction`` (C, H, W), ``image_sar``
            (S, H, W), ``mask_cloud`` (H, W), ``mask`` and ``prediction`` (h, w), in stored units.
        legend: the classes, in order.
        rgb: positions of the red, green and blue band.
        sar_range: values of the first SAR band shown black and white.
        show_titles: put a title above each panel.
        suptitle: title of the figure.

    Returns:
        the figure.

    Raises:
        ValueError: if there is nothing to plot.
    """
    optical = {key: title for key, title in OPTICAL_TITLES.items() if key in sample}
    if 'image' in optical and not {'image_clear', 'mask_cloud'} & set(sample):
        optical['image'] = 'Optical'  # nothing says that there are clouds
    labels = {key: title for key, title in LABEL_TITLES.items() if key in sample}
    count = len(optical) + len(labels) + ('image_sar' in sample) + ('mask_cloud' in sample)
    if not count:
        raise ValueError(f'nothing to plot: the sample has only {sorted(sample)}')
    figure, grid = plt.subplots(
        1, count, figsize=(PANEL_WIDTH * count, 4.0), squeeze=False, layout='constrained'
    )
    panels = iter(grid[0])
    shown = {title: title if show_titles else '' for title in ('SAR', 'Cloud mask')}
    for key, title in optical.items():
        # clouds are several times as bright as the ground: the cloudy image has a stretch of its
        # own, while the reconstruction shares that of the truth, to be comparable
        like = 'image_clear' if key == 'reconstruction' and 'image_clear' in sample else key
        limits = value_range(sample[like][list(rgb)])
        picture = stretch(sample[key][list(rgb)], limits)
        draw_image(next(panels), picture, title if show_titles else '')
    if 'image_sar' in sample:
        low, high = sar_range
        backscatter = to_numpy(sample['image_sar'])[0]
        draw_image(next(panels), backscatter, shown['SAR'], cmap='gray', vmin=low, vmax=high)
    if 'mask_cloud' in sample:
        clouds = to_numpy(sample['mask_cloud'])
        draw_image(next(panels), clouds, shown['Cloud mask'], cmap='gray', vmin=0, vmax=1)
    for key, title in labels.items():
        draw_labels(next(panels), sample[key], legend, title if show_titles else '')
    if labels:
        patches = legend_patches(legend)
        rows = math.ceil(len(patches) * ENTRY_WIDTH / (PANEL_WIDTH * count))
        figure.legend(
            handles=patches,
            loc='outside lower center',
            ncols=math.ceil(len(patches) / rows),
            columnspacing=1.2,
            handlelength=1.2,
        )
    if suptitle is not None:
        figure.suptitle(suptitle)
    return figure
