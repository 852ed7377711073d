"""Pictures of samples, and colors of images and labels for every picture that is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from ..rasters.cog import Color
from .legend import LandCoverClass

#: Color of pixels that belong to no class, and of pixels without data.
UNKNOWN_COLOR: Color = (255, 255, 255)

#: Share of the darkest and of the brightest values that a stretch saturates.
STRETCH_PERCENT = (1.0, 99.0)


#: Modalities with their titles, in the order of the panels.
TITLES = {
    'image': 'Cloudy',
    'image_clear': 'Cloud-free',
    'reconstruction': 'Reconstruction',
    'image_sar': 'SAR',
    'mask_cloud': 'Cloud mask',
    'mask': 'Label',
    'prediction': 'Prediction',
}

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
    titles = {key: title for key, title in TITLES.items() if key in sample}
    if not titles:
        raise ValueError(f'nothing to plot: the sample has only {sorted(sample)}')
    if 'image' in titles and not titles.keys() & {'image_clear', 'mask_cloud'}:
        titles['image'] = 'Optical'  # nothing says that there are clouds
    width = PANEL_WIDTH * len(titles)
    figure, grid = plt.subplots(
        1, len(titles), figsize=(width, 4.0), squeeze=False, layout='constrained'
    )
    for axes, (key, name) in zip(grid[0], titles.items(), strict=True):
        title = name if show_titles else ''
        if key in ('mask', 'prediction'):
            draw_labels(axes, sample[key], legend, title)
        elif key in ('image_sar', 'mask_cloud'):
            low, high = sar_range if key == 'image_sar' else (0, 1)
            values = to_numpy(sample[key])
            first = values[0] if key == 'image_sar' else values
            draw_image(axes, first, title, cmap='gray', vmin=low, vmax=high)
        else:
            # clouds are several times as bright as the ground: the cloudy image has a stretch of
            # its own, while the reconstruction shares that of the truth, to be comparable
            like = 'image_clear' if key == 'reconstruction' and 'image_clear' in sample else key
            limits = value_range(sample[like][list(rgb)])
            draw_image(axes, stretch(sample[key][list(rgb)], limits), title)
    if titles.keys() & {'mask', 'prediction'}:
        patches = legend_patches(legend)
        rows = math.ceil(len(patches) * ENTRY_WIDTH / width)
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


def value_range(
    image: Tensor | NDArray[Any], percent: tuple[float, float] = STRETCH_PERCENT
) -> tuple[float, float]:
    """Values shown black and white.

    Args:
        image: values of any shape; NaN is left out.
        percent: share of the values below each of the two.

    Returns:
        the two values, the second greater than the first.
    """
    low, high = np.nanpercentile(to_numpy(image), percent)
    return float(low), float(max(high, low + 1e-6))


def stretch(
    image: Tensor | NDArray[Any], limits: tuple[float, float] | None = None
) -> NDArray[np.float32]:
    """Red, green and blue as a picture.

    Args:
        image: values (3, H, W); NaN where there is no data.
        limits: values shown black and white (defaults to :func:`value_range`).

    Returns:
        (H, W, 3) in 0..1, white where there is no data.
    """
    bands = to_numpy(image).astype(np.float32)
    missing = ~np.isfinite(bands).all(axis=0)
    if missing.all():
        return np.ones((*missing.shape, 3), np.float32)
    low, high = value_range(bands[:, ~missing]) if limits is None else limits
    picture = np.clip((bands - low) / (high - low), 0, 1)
    picture[:, missing] = 1
    colors: NDArray[np.float32] = np.moveaxis(picture, 0, -1)
    return colors


def color_table(colors: Sequence[Color]) -> NDArray[np.uint8]:
    """Colors of all values of a label map.

    Args:
        colors: red, green and blue of each class, 0 to 255.

    Returns:
        uint8 array (256, 3); values that are no class have the color of unknown.
    """
    table = np.full((256, 3), UNKNOWN_COLOR, np.uint8)
    table[: len(colors)] = colors
    return table


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
    classes = to_numpy(labels)
    known = np.where((classes >= 0) & (classes < len(legend)), classes, 255)
    picture = color_table([entry.color for entry in legend])[known]
    draw_image(axes, picture, title, interpolation='nearest')


def draw_image(axes: Axes, image: NDArray[Any], title: str = '', **kwargs: Any) -> None:
    """Draw a picture without axes.

    Args:
        axes: where to draw.
        image: (H, W), or (H, W, 3) in 0..1 or 0..255.
        title: title above it.
        **kwargs: further arguments of ``imshow``.
    """
    axes.imshow(image, **kwargs)
    axes.set_axis_off()
    if title:
        axes.set_title(title)


def legend_patches(
    legend: Iterable[LandCoverClass], unknown: str | None = 'unknown'
) -> list[Patch]:
    """Colored boxes with names, for the legend of a figure.

    Args:
        legend: the classes, in order.
        unknown: name of what is no class; None to leave it out.

    Returns:
        one patch for each of them.
    """
    patches = [Patch(facecolor=entry.rgb, label=entry.name) for entry in legend]
    if unknown is not None:
        white = LandCoverClass(unknown, (), UNKNOWN_COLOR).rgb
        patches.append(Patch(facecolor=white, edgecolor='gray', label=unknown))
    return patches


def to_numpy(values: Tensor | NDArray[Any]) -> NDArray[Any]:
    """Values of a tensor on any device, or of an array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values
