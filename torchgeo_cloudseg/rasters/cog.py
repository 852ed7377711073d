"""Writing Cloud Optimized GeoTIFFs from rows, with names and colors of their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil

from .errors import GDAL_ERRORS
from .grid import Grid
from .window import Pixels
from .write import BLOCK_PX, RasterWriter

#: Red, green and blue, 0 to 255.
Color = tuple[int, int, int]

# columns of an attribute table: name, and GDAL's numbers of its type and of its usage
_COLUMNS = (('Value', 0, 5), ('Class', 2, 2), ('Red', 0, 6), ('Green', 0, 7), ('Blue', 0, 8))


@dataclass(frozen=True)
class RasterLayer:
    """A raster to be written: declared facts, no pixels.

    Example:
        >>> layer = RasterLayer(('confidence',), 'uint8', nodata=255, overviews='average')
        >>> layer.class_names
        ()
    """

    #: Names of the bands.
    bands: tuple[str, ...]
    dtype: str
    nodata: float | None
    #: How overviews are made.
    overviews: Literal['mode', 'average']
    tags: Mapping[str, str] = field(default_factory=dict)
    #: Names and colors of the values 0, 1, ..., for a raster of classes.
    class_names: tuple[str, ...] = ()
    class_colors: tuple[Color, ...] = ()
    #: Physical units per stored unit, and physical value of a stored 0, by band.
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()


def write_cog(
    folder: Path, name: str, grid: Grid, layer: RasterLayer, rows: Iterable[Pixels]
) -> list[Path]:
    """Write a Cloud Optimized GeoTIFF.

    Class names and colors go into the file's color table, and as category names and attribute
    table into ``<name>.aux.xml``, where GDAL and QGIS look for them.

    Args:
        folder: where to write.
        name: name of the file.
        grid: its grid.
        layer: its bands, data type and legend.
        rows: its pixels (bands, rows, width) from top to bottom.

    Returns:
        the files, the GeoTIFF last.

    Raises:
        OSError: if the file does not hold what was written, as on a full disk.
        RasterioError: if GDAL reports an error.

    Example:
        >>> import numpy as np
        >>> from torchgeo_cloudseg.rasters import Grid
        >>> grid = Grid.north_up('EPSG:32631', (500_000, 100_000), pixel=(10, 10), size_px=(64, 64))
        >>> layer = RasterLayer(('confidence',), 'uint8', nodata=255, overviews='average')
        >>> rows = iter([np.zeros((1, 32, 64), np.uint8), np.ones((1, 32, 64), np.uint8)])
        >>> [path.name for path in write_cog(folder, 'map.tif', grid, layer, rows)]
        ['map.tif']
    """
    path, raw = folder / name, folder / f'raw-{name}'
    count = len(layer.bands)
    layout = {'interleave': 'band', 'bigtiff': 'IF_SAFER'}
    with RasterWriter(raw, grid, count, layer.dtype, layer.nodata, **layout) as writer:
        _describe(writer, layer)
        top = 0
        for values in rows:
            writer.write(values, top)
            top += values.shape[1]
    if layer.class_names:
        # a sidecar of the source, which GDAL carries over to the copy
        _sidecar(raw).write_text(_attribute_xml(layer))
    options = {'COMPRESS': 'DEFLATE', 'BIGTIFF': 'IF_SAFER', 'BLOCKSIZE': BLOCK_PX}
    if np.issubdtype(layer.dtype, np.floating):
        options['PREDICTOR'] = 'YES'
    try:
        # TorchGeo's command line tells GDAL not to list folders; it would miss the sidecar
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN='FALSE'):
            overviews = layer.overviews.upper()
            rasterio.shutil.copy(raw, path, driver='COG', OVERVIEW_RESAMPLING=overviews, **options)
        writer.verify(path)
    except (*GDAL_ERRORS, OSError) as error:
        raise OSError(f'{name} is incomplete: {error}') from error
    for leftover in (raw, _sidecar(raw)):
        leftover.unlink(missing_ok=True)
    return [file for file in (_sidecar(path), path) if file.exists()]


def _describe(writer: RasterWriter, layer: RasterLayer) -> None:
    """Names of bands, tags and colors."""
    writer.raster.descriptions = layer.bands
    writer.raster.update_tags(**layer.tags)
    if layer.scales:
        writer.raster.scales, writer.raster.offsets = layer.scales, layer.offsets
    if layer.class_colors:
        table = {value: (*color, 255) for value, color in enumerate(layer.class_colors)}
        writer.raster.write_colormap(1, {**table, int(layer.nodata or 0): (0, 0, 0, 0)})


def _sidecar(path: Path) -> Path:
    return path.with_name(f'{path.name}.aux.xml')


def _attribute_xml(layer: RasterLayer) -> str:
    """GDAL's sidecar with category names and attribute table."""
    root = ElementTree.Element('PAMDataset')
    band = ElementTree.SubElement(root, 'PAMRasterBand', band='1')
    names = ElementTree.SubElement(band, 'CategoryNames')
    table = ElementTree.SubElement(band, 'GDALRasterAttributeTable', tableType='thematic')
    for index, facts in enumerate(_COLUMNS):
        column = ElementTree.SubElement(table, 'FieldDefn', index=str(index))
        for tag, fact in zip(('Name', 'Type', 'Usage'), facts, strict=True):
            ElementTree.SubElement(column, tag).text = str(fact)
    for value, (name, color) in enumerate(zip(layer.class_names, layer.class_colors, strict=True)):
        ElementTree.SubElement(names, 'Category').text = name
        row = ElementTree.SubElement(table, 'Row', index=str(value))
        for cell in (value, name, *color):
            ElementTree.SubElement(row, 'F').text = str(cell)
    return ElementTree.tostring(root, encoding='unicode')
