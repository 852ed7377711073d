"""Quick look of a map: a picture with legend, beside the optical image."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ...datasets.scene_spec import MAP_NODATA, SceneSpec
from ...rasters import Image, open_raster

#: Longer side of a panel, in pixels of the picture.
PANEL_PX = 900

#: The same in inches.
PANEL_INCHES = 5.5

#: Least width of a figure, and columns of its legend, so that names are not cut off.
LEGEND_INCHES, LEGEND_COLUMNS = 7.0, 4

#: Share of the darkest and of the brightest pixels that the optical panel saturates.
STRETCH_PERCENT = (2.0, 98.0)


def save_quicklook(path: Path, classes_path: Path, optical_path: str, spec: SceneSpec) -> None:
    """Save a picture of a map and of the optical image under it.

    Args:
        path: the PNG file to write.
        classes_path: the class map.
        optical_path: the optical raster.
        spec: bands, names and colors.
    """
    classes = _read_small(classes_path, [1], smooth=False).data[0]
    panels = {
        'Optical image': _true_color(optical_path, spec),
        'Land cover': _color_table(spec)[classes],
    }
    figure = _figure(panels, classes.shape)
    names = dict(enumerate(spec.class_names))
    _add_legend(figure, classes, _color_table(spec), names, MAP_NODATA)
    figure.savefig(path, dpi=PANEL_PX / PANEL_INCHES, format='png')


def map_figure(path: Path) -> Figure:
    """Draw a class map in the colors that its file states.

    Args:
        path: class map, as :func:`~torchgeo_cloudseg.inference.predict_scene` writes it.

    Returns:
        the figure, with a legend of the classes that occur.

    Raises:
        ValueError: if the file is no raster, or states no colors.
    """
    try:
        with open_raster(path) as raster:
            colors = raster.colormap(1)
            named = json.loads(raster.tags().get('CLASS_NAMES', '{}'))
            nodata = raster.nodata
        classes = _read_small(path, [1], smooth=False).data[0]
    except ValueError as error:
        raise ValueError(
            f'{path}: found no class map with a color table ({error}), expected one written by '
            '`cloudseg map`.'
        ) from error
    table = np.array([colors.get(value, (0, 0, 0, 255))[:3] for value in range(256)], np.uint8)
    if nodata is not None:
        table[int(nodata)] = 255
    figure = _figure({'Land cover': table[classes]}, classes.shape)
    names = {int(value): name for value, name in named.items()}
    _add_legend(figure, classes, table, names, nodata)
    return figure


def _figure(panels: dict[str, NDArray[Any]], size_px: tuple[int, ...]) -> Figure:
    """Panels of the same ground side by side, with room for a legend."""
    height, width = size_px
    larger = max(height, width)
    figure = Figure(
        figsize=(
            max(len(panels) * PANEL_INCHES * width / larger + 0.3, LEGEND_INCHES),
            PANEL_INCHES * height / larger + 1.1,
        ),
        layout='constrained',
    )
    # no pyplot: nothing of a figure may stay behind in a process that maps many scenes
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, len(panels), squeeze=False)
    for axes, (title, panel) in zip(grid[0], panels.items(), strict=True):
        axes.imshow(panel, interpolation='nearest', extent=(0, width, height, 0))
        axes.set_title(title)
        # the frame shows where an image without data ends
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color='0.6', linewidth=0.5)
    return figure


def _add_legend(
    figure: Figure,
    classes: NDArray[Any],
    table: NDArray[Any],
    names: dict[int, str],
    nodata: float | None,
) -> None:
    """Legend of the values that occur."""
    present = [int(value) for value in np.unique(classes)]
    patches = [
        Patch(facecolor=table[value] / 255, label=names.get(value, f'class {value}'))
        for value in present
        if value != nodata
    ]
    if nodata is not None and int(nodata) in present:
        patches.append(Patch(facecolor='white', edgecolor='0.6', label='no data'))
    figure.legend(
        handles=patches,
        loc='outside lower center',
        ncols=min(len(patches), LEGEND_COLUMNS),
        frameon=False,
    )


def _true_color(path: str, spec: SceneSpec) -> NDArray[Any]:
    """Red, green and blue (H, W, 3), 0..1, stretched; white where there is no data."""
    # fewer than three bands are shown in gray
    rgb = spec.rgb if max(spec.rgb) < len(spec.optical_bands) else (0, 0, 0)
    read = _read_small(path, [spec.optical_bands[position] for position in rgb], smooth=True)
    image = np.ma.filled(read.astype(np.float32), np.nan)
    if spec.optical_nodata is not None:
        image[:, (read.data == spec.optical_nodata).all(axis=0)] = np.nan
    missing = ~np.isfinite(image).all(axis=0)
    if missing.all():
        return np.ones((*missing.shape, 3))
    low, high = np.percentile(image[:, ~missing], STRETCH_PERCENT)
    scaled = np.clip((image - low) / max(high - low, 1e-6), 0, 1)
    scaled[:, missing] = 1
    colors: NDArray[Any] = np.moveaxis(scaled, 0, -1)
    return colors


def _color_table(spec: SceneSpec) -> NDArray[np.uint8]:
    """Colors (256, 3) of class values."""
    table = np.full((256, 3), 255, dtype=np.uint8)
    table[: spec.num_classes] = spec.class_colors
    return table


def _read_small(path: str | Path, bands: list[int], smooth: bool) -> np.ma.MaskedArray[Any, Any]:
    """Bands of a raster (C, h, w) at the size of a panel."""
    with closing(Image(path)) as image:
        values: np.ma.MaskedArray[Any, Any] = image.overview(bands, PANEL_PX, smooth)
        return values
