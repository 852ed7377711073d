"""Quick look of a map: a picture with legend, beside the optical image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...datasets.legend import LandCoverClass
from ...datasets.rendering import UNKNOWN_COLOR, color_table, legend_patches, stretch
from ...datasets.scene_spec import SceneSpec
from ...rasters import Image

#: Longer side of a panel, in pixels of the picture.
PANEL_PX = 900

#: The same in inches.
PANEL_INCHES = 5.5

#: Least width of a figure, and columns of its legend, so that names are not cut off.
LEGEND_INCHES, LEGEND_COLUMNS = 7.0, 4


def save_quicklook(path: Path, classes_path: Path, optical_path: str, spec: SceneSpec) -> None:
    """Save a picture of a map and of the optical image under it.

    Args:
        path: the PNG file to write.
        classes_path: the class map.
        optical_path: the optical raster.
        spec: which of its bands to show, and how.
    """
    figure = map_figure(classes_path, {'Optical image': _true_color(optical_path, spec)})
    figure.savefig(path, dpi=PANEL_PX / PANEL_INCHES, format='png')


def map_figure(path: Path, beside: Mapping[str, NDArray[Any]] | None = None) -> Figure:
    """Draw a class map in the colors that its file states.

    Args:
        path: class map, as :func:`~torchgeo_cloudseg.inference.predict_scene` writes it.
        beside: pictures of the same ground by title, drawn to the left of it.

    Returns:
        the figure, with a legend of the classes that occur.

    Raises:
        ValueError: if the file is no raster, or states no colors.
    """
    try:
        with closing(Image(path)) as image:
            colors = image.raster.colormap(1)
            names = json.loads(image.raster.tags().get('CLASS_NAMES', '{}'))
            classes = image.overview([1], PANEL_PX, smooth=False).data[0]
            nodata = image.header.nodata
    except ValueError as error:
        raise ValueError(
            f'{path}: found no class map with a color table ({error}), expected one written by '
            '`cloudseg map`.'
        ) from error
    table = color_table([colors.get(value, (0, 0, 0))[:3] for value in range(256)])
    if nodata is not None:
        table[int(nodata)] = UNKNOWN_COLOR
    panels = {**(beside or {}), 'Land cover': table[classes]}
    height, width = classes.shape
    inches = PANEL_INCHES / max(height, width)
    size = max(len(panels) * inches * width + 0.3, LEGEND_INCHES), inches * height + 1.1
    figure = Figure(figsize=size, layout='constrained')
    # no pyplot: nothing of a figure may stay behind in a process that maps many scenes
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, len(panels), squeeze=False)
    for axes, (title, panel) in zip(grid[0], panels.items(), strict=True):
        axes.imshow(panel, interpolation='nearest', extent=(0, width, height, 0))
        # the frame shows where an image without data ends
        axes.set(title=title, xticks=[], yticks=[])
        axes.spines[:].set(color='0.6', linewidth=0.5)
    present = np.unique(classes).tolist()
    shown = [
        LandCoverClass(names.get(str(value), f'class {value}'), (), tuple(table[value]))
        for value in present
        if value != nodata
    ]
    patches = legend_patches(shown, 'no data' if nodata in present else None)
    columns = min(len(patches), LEGEND_COLUMNS)
    figure.legend(handles=patches, loc='outside lower center', ncols=columns, frameon=False)
    return figure


def _true_color(path: str, spec: SceneSpec) -> NDArray[np.float32]:
    """Red, green and blue (H, W, 3), 0..1, stretched; white where there is no data."""
    # fewer than three bands are shown in gray
    rgb = spec.rgb if max(spec.rgb) < len(spec.optical_bands) else (0, 0, 0)
    with closing(Image(path)) as image:
        bands = [spec.optical_bands[position] for position in rgb]
        read = image.overview(bands, PANEL_PX, smooth=True)
    values = np.ma.filled(read.astype(np.float32), np.nan)
    if spec.optical_nodata is not None:
        values[:, (read.data == spec.optical_nodata).all(axis=0)] = np.nan
    return stretch(values)
