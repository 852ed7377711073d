"""Figures of samples: images, masks, and labels with their legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from .legend import LandCoverClass

#: Color of pixels that belong to no class.
UNKNOWN_COLOR = (1.0, 1.0, 1.0)

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
    axes = iter(grid[0])
    for key, title in optical.items():
        panel = _rgb_image(sample[key], rgb, _stretch(sample, key, rgb))
        _show(next(axes), panel, title, show_titles)
    if 'image_sar' in sample:
        low, high = sar_range
        backscatter = _to_numpy(sample['image_sar'])[0]
        _show(next(axes), backscatter, 'SAR', show_titles, cmap='gray', vmin=low, vmax=high)
    if 'mask_cloud' in sample:
        clouds = _to_numpy(sample['mask_cloud'])
        _show(next(axes), clouds, 'Cloud mask', show_titles, cmap='gray', vmin=0, vmax=1)
    for key, title in labels.items():
        draw_labels(next(axes), sample[key], legend, title if show_titles else '')
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


def draw_labels(
    axes: Axes, labels: Tensor | NDArray[Any], legend: Sequence[LandCoverClass], title: str = ''
) -> None:
    """Draw a label map in the legend's colors.

    Args:
        axes: where to draw.
        labels: classes (h, w); anything beyond the legend is drawn as unknown.
        legend: the classes, in order.
        title: title above the map.
    """
    classes = _to_numpy(labels)
    known = np.where((classes >= 0) & (classes < len(legend)), classes, len(legend))
    cmap = ListedColormap([*(entry.rgb for entry in legend), UNKNOWN_COLOR])
    norm = BoundaryNorm(np.arange(len(legend) + 2) - 0.5, len(legend) + 1)
    _show(axes, known, title, bool(title), cmap=cmap, norm=norm, interpolation='nearest')


def legend_patches(legend: Sequence[LandCoverClass]) -> list[Patch]:
    """Colored boxes with class names, for a figure's legend.

    Args:
        legend: the classes, in order.

    Returns:
        one patch per class, and one for unknown.
    """
    patches = [Patch(facecolor=entry.rgb, label=entry.name) for entry in legend]
    return [*patches, Patch(facecolor=UNKNOWN_COLOR, edgecolor='gray', label='unknown')]


def _stretch(sample: dict[str, Any], key: str, rgb: tuple[int, int, int]) -> tuple[float, float]:
    """Values shown black and white.

    Clouds are several times as bright as the ground: the cloudy image has a stretch of its own,
    while the reconstruction shares that of the truth, to be comparable.
    """
    like = 'image_clear' if key == 'reconstruction' and 'image_clear' in sample else key
    low, high = np.percentile(_to_numpy(sample[like])[list(rgb)], (1, 99))
    return float(low), float(max(high, low + 1e-6))


def _rgb_image(
    image: Tensor | NDArray[Any], rgb: tuple[int, int, int], stretch: tuple[float, float]
) -> NDArray[Any]:
    """Red, green and blue in 0..1, bands last."""
    low, high = stretch
    bands = _to_numpy(image)[list(rgb)].astype(np.float32)
    stretched: NDArray[Any] = np.clip((bands - low) / (high - low), 0, 1).transpose(1, 2, 0)
    return stretched


def _to_numpy(values: Tensor | NDArray[Any]) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _show(axes: Axes, image: NDArray[Any], title: str, show_title: bool, **kwargs: Any) -> None:
    axes.imshow(image, **kwargs)
    axes.set_axis_off()
    if show_title:
        axes.set_title(title)
