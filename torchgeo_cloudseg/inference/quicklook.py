"""Quick look of a map: a picture with legend, beside the optical image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from rasterio.enums import Resampling

from .spec import MAP_NODATA, SceneSpec

#: Longer side of a panel, in pixels of the picture.
PANEL_PX = 900

#: Share of the darkest and of the brightest pixels that the optical panel saturates.
STRETCH_PERCENT = (2.0, 98.0)


def save_quicklook(path: Path, classes_path: Path, optical_path: str, spec: SceneSpec) -> None:
    """Save a picture of a map and of the optical image under it.

    Args:
        path: the PNG file to write.
        classes_path: the class map.
        optical_path: the optical raster.
        spec: bands, names and colours.
    """
    classes = _read_small(classes_path, [1], smooth=False).data[0]
    panels = {
        'Optical image': _true_colour(optical_path, spec),
        'Land cover': _paint(classes, spec),
    }
    height, width = classes.shape
    aspect = height / width
    side = 5.5
    figure = Figure(
        figsize=(2 * min(side, side / aspect) + 0.3, min(side, side * aspect) + 1.1),
        layout='constrained',
    )
    # no pyplot: nothing of a figure may stay behind in a process that maps many scenes
    FigureCanvasAgg(figure)
    for axes, (title, panel) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        axes.imshow(panel, interpolation='nearest', extent=(0, width, height, 0))
        axes.set_title(title)
        axes.set_axis_off()
    present = [value for value in np.unique(classes) if value != MAP_NODATA]
    patches = []
    for value in present:
        red, green, blue = spec.class_colours[value]
        colour = (red / 255, green / 255, blue / 255)
        patches.append(Patch(facecolor=colour, label=spec.class_names[value]))
    if (classes == MAP_NODATA).any():
        patches.append(Patch(facecolor='white', edgecolor='0.6', label='no data'))
    figure.legend(
        handles=patches, loc='outside lower center', ncols=min(len(patches), 6), frameon=False
    )
    figure.savefig(path, dpi=PANEL_PX / side, format='png')


def map_figure(path: Path) -> Figure:
    """Draw a class map in the colours that its file states.

    Args:
        path: class map, as :func:`~torchgeo_cloudseg.inference.predict_scene` writes it.

    Returns:
        the figure, with a legend of the classes that occur.

    Raises:
        ValueError: if the file is no raster, or states no colours.
    """
    try:
        with rasterio.open(path) as raster:
            colours = raster.colormap(1)
            names = json.loads(raster.tags().get('CLASS_NAMES', '{}'))
            nodata = raster.nodata
        classes = _read_small(path, [1], smooth=False).data[0]
    except (rasterio.errors.RasterioIOError, ValueError) as error:
        raise ValueError(
            f'{path}: found no class map with a colour table ({error}), expected one written by '
            '`cloudseg map`.'
        ) from error
    table = np.array([colours.get(value, (0, 0, 0, 255))[:3] for value in range(256)], np.uint8)
    if nodata is not None:
        table[int(nodata)] = 255
    height, width = classes.shape
    side = 7.0 / max(height, width)
    figure = Figure(figsize=(side * width + 0.3, side * height + 1.0), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.imshow(table[classes], interpolation='nearest')
    axes.set_axis_off()
    present = [int(value) for value in np.unique(classes) if value != nodata]
    patches = [
        Patch(facecolor=table[value] / 255, label=names.get(str(value), f'class {value}'))
        for value in present
    ]
    figure.legend(handles=patches, loc='outside lower center', ncols=6, frameon=False)
    return figure


def _true_colour(path: str, spec: SceneSpec) -> NDArray[Any]:
    """Red, green and blue (H, W, 3), 0..1, stretched; white where there is no data."""
    # fewer than three bands are shown in grey
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
    colours: NDArray[Any] = np.moveaxis(scaled, 0, -1)
    return colours


def _paint(classes: NDArray[Any], spec: SceneSpec) -> NDArray[Any]:
    """Colours (H, W, 3) of class values (H, W)."""
    table = np.full((256, 3), 255, dtype=np.uint8)
    table[: spec.num_classes] = spec.class_colours
    painted: NDArray[Any] = table[classes]
    return painted


def _read_small(path: str | Path, bands: list[int], smooth: bool) -> np.ma.MaskedArray[Any, Any]:
    """Bands of a raster (C, h, w) at the size of a panel."""
    with rasterio.open(path) as raster:
        shrink = max(1.0, max(raster.height, raster.width) / PANEL_PX)
        height, width = (max(1, round(side / shrink)) for side in raster.shape)
        values: np.ma.MaskedArray[Any, Any] = raster.read(
            bands,
            out_shape=(len(bands), height, width),
            resampling=Resampling.average if smooth else Resampling.nearest,
            masked=True,
        )
    return values
