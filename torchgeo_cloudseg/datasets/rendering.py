"""Colors of images and labels, for every picture that the package makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from ..rasters.cog import Color
from .legend import LandCoverClass

#: Color of pixels that belong to no class, and of pixels without data.
UNKNOWN_COLOR: Color = (255, 255, 255)

#: Share of the darkest and of the brightest values that a stretch saturates.
STRETCH_PERCENT = (1.0, 99.0)


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
