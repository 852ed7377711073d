"""Writing Cloud Optimized GeoTIFFs from rows, and making sure that they hold them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.windows import Window

from .grid import Grid
from .products import RasterLayer

#: Side of the tiles of a GeoTIFF, in pixels.
BLOCK_PX = 512

# values of GDAL's enumerations of field types and usages in attribute tables
_INTEGER, _STRING = 0, 2
_NAME, _MIN_MAX, _RED, _GREEN, _BLUE = 2, 5, 6, 7, 8


def write_cog(
    folder: Path, name: str, grid: Grid, layer: RasterLayer, rows: Iterable[NDArray[Any]]
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
    """
    path, raw = folder / name, folder / f'raw-{name}'
    checksums = _write_rows(raw, grid, layer, rows)
    if layer.class_names:
        # a sidecar of the source, which GDAL carries over to the copy
        _sidecar(raw).write_text(_attribute_xml(layer))
    options = {'PREDICTOR': 'YES'} if np.issubdtype(layer.dtype, np.floating) else {}
    try:
        # TorchGeo's command line tells GDAL not to list folders; it would miss the sidecar
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN='FALSE'):
            rasterio.shutil.copy(
                raw,
                path,
                driver='COG',
                COMPRESS='DEFLATE',
                BIGTIFF='IF_SAFER',
                BLOCKSIZE=BLOCK_PX,
                OVERVIEW_RESAMPLING=layer.overviews.upper(),
                **options,
            )
    except Exception as error:
        # rasterio hands on GDAL's errors here, whose classes are not public
        raise OSError(f'{name}: {error}') from error
    # GDAL writes the last blocks when it closes a file, and keeps errors then to itself
    if _checksums(path) != checksums:
        raise OSError(f'{name} is incomplete')
    for leftover in (raw, _sidecar(raw)):
        leftover.unlink(missing_ok=True)
    return [file for file in (_sidecar(path), path) if file.exists()]


def _write_rows(
    path: Path, grid: Grid, layer: RasterLayer, rows: Iterable[NDArray[Any]]
) -> list[int]:
    """Write an uncompressed GeoTIFF and return a checksum per band."""
    checksums = [0] * len(layer.bands)
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        height=grid.height,
        width=grid.width,
        count=len(layer.bands),
        dtype=layer.dtype,
        nodata=layer.nodata,
        crs=grid.crs,
        transform=grid.transform,
        interleave='band',
        BIGTIFF='IF_SAFER',
    ) as raster:
        raster.descriptions = layer.bands
        raster.update_tags(**layer.tags)
        if layer.class_colors:
            table = {value: (*color, 255) for value, color in enumerate(layer.class_colors)}
            raster.write_colormap(1, {**table, int(layer.nodata or 0): (0, 0, 0, 0)})
        top = 0
        for values in rows:
            raster.write(values, window=Window(0, top, grid.width, values.shape[1]))
            top += values.shape[1]
            checksums = [_update(*pair) for pair in zip(checksums, values, strict=True)]
    return checksums


def _checksums(path: Path) -> list[int]:
    """Checksum of each band of a raster."""
    with rasterio.open(path) as raster:
        checksums = [0] * raster.count
        for top in range(0, raster.height, BLOCK_PX):
            rows = min(BLOCK_PX, raster.height - top)
            values = raster.read(window=Window(0, top, raster.width, rows))
            checksums = [_update(*pair) for pair in zip(checksums, values, strict=True)]
    return checksums


def _update(checksum: int, values: NDArray[Any]) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data, checksum)


def _sidecar(path: Path) -> Path:
    return path.with_name(f'{path.name}.aux.xml')


def _attribute_xml(layer: RasterLayer) -> str:
    """GDAL's sidecar with category names and attribute table."""
    root = ElementTree.Element('PAMDataset')
    band = ElementTree.SubElement(root, 'PAMRasterBand', band='1')
    names = ElementTree.SubElement(band, 'CategoryNames')
    for name in layer.class_names:
        ElementTree.SubElement(names, 'Category').text = name
    table = ElementTree.SubElement(band, 'GDALRasterAttributeTable', tableType='thematic')
    fields = (
        ('Value', _INTEGER, _MIN_MAX),
        ('Class', _STRING, _NAME),
        ('Red', _INTEGER, _RED),
        ('Green', _INTEGER, _GREEN),
        ('Blue', _INTEGER, _BLUE),
    )
    for index, (title, kind, usage) in enumerate(fields):
        column = ElementTree.SubElement(table, 'FieldDefn', index=str(index))
        for tag, value in (('Name', title), ('Type', kind), ('Usage', usage)):
            ElementTree.SubElement(column, tag).text = str(value)
    for value, (name, color) in enumerate(zip(layer.class_names, layer.class_colors, strict=True)):
        row = ElementTree.SubElement(table, 'Row', index=str(value))
        for cell in (value, name, *color):
            ElementTree.SubElement(row, 'F').text = str(cell)
    return ElementTree.tostring(root, encoding='unicode')
