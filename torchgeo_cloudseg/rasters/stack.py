"""One image of several files: bands of any resolution on the finest grid among them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.rpc import RPC

from .errors import SceneError
from .header import header_of
from .name import gdal_name
from .open import open_raster

Element = ElementTree.Element

#: GDAL's names of data types, by those of numpy.
GDAL_TYPES = {
    'uint8': 'Byte', 'int8': 'Int8', 'uint16': 'UInt16', 'int16': 'Int16', 'uint32': 'UInt32',
    'int32': 'Int32', 'uint64': 'UInt64', 'int64': 'Int64', 'float32': 'Float32',
    'float64': 'Float64', 'complex64': 'CFloat32', 'complex128': 'CFloat64',
}  # fmt: skip


@dataclass(frozen=True)
class Band:
    """A band of a file, and what is known of it beside the file.

    Attributes:
        path: the file, or anything else that GDAL reads.
        number: which of its bands, counted from 1.
        name: what the band is called (defaults to what the file says).
        nodata: stored value of pixels without data (defaults to what the file says).
        scale: physical units per stored unit (defaults to what the file says).
        offset: physical value of a stored 0 (defaults to what the file says).
    """

    path: str
    number: int = 1
    name: str = ''
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None


def band_stack(bands: Sequence[Band | str | os.PathLike[str]]) -> str:
    """Put bands of several files together as one image.

    The image is the text of a VRT. GDAL takes it for a path, and so does everything here:
    :class:`~.image.Image`, :func:`~.window.read_window`, :func:`~.header.read_header`. Written to
    a file that ends in ``.vrt`` it can be kept. Values stay as they are stored; names, nodata,
    masks, scale and offset, ground control points and rational polynomials stay with them.

    Files have the same extent (see :meth:`~.grid.Grid.covers_like`), and pixels of any size: those
    of coarser bands are repeated.

    Example:
        >>> path = band_stack(['B02.tif', 'B03.tif', Band('B11_20m.tif', name='B11')])
        >>> read_window(path, (0, 256), (0, 256)).shape
        (3, 256, 256)

    Args:
        bands: the bands in order; a path alone stands for all bands of the file that are
            measurements.

    Returns:
        the text of the VRT.

    Raises:
        SceneError: if a file cannot be opened, has no such band, or has another CRS or extent
            than the finest one.
        ValueError: if there are no bands.
    """
    if not bands:
        raise ValueError('A stack needs at least one band.')
    with ExitStack() as files:
        opened: dict[str, DatasetReader] = {}
        for band in bands:
            path = _path(band)
            if path not in opened:
                opened[path] = files.enter_context(open_raster(path))
        chosen = [one for band in bands for one in _expand(band, opened[_path(band)])]
        finest = min(opened, key=lambda path: abs(opened[path].transform.determinant))
        _check_extents(opened, finest)
        return _vrt(chosen, opened, opened[finest])


def _path(band: Band | str | os.PathLike[str]) -> str:
    return band.path if isinstance(band, Band) else os.fspath(band)


def _expand(band: Band | str | os.PathLike[str], raster: DatasetReader) -> Iterable[Band]:
    """The bands that one entry of a stack stands for."""
    if not isinstance(band, Band):
        return [Band(os.fspath(band), number) for number in header_of(raster).color_bands]
    if not 1 <= band.number <= raster.count:
        found = f'{raster.count} band(s)'
        raise SceneError(band.path, found, f'a band {band.number}', 'Name another band.')
    return [band]


def _check_extents(opened: dict[str, DatasetReader], finest: str) -> None:
    """Refuse files that do not lie upon each other."""
    wanted = header_of(opened[finest]).grid
    for path, raster in opened.items():
        grid = header_of(raster).grid
        if wanted.covers_like(grid):
            continue
        found, expected = (
            f'{g.height} x {g.width} pixels over {tuple(round(x, 3) for x in g.bounds)} '
            f'({g.crs or "no CRS"})'
            for g in (grid, wanted)
        )
        remedy = 'Give files of one image, or bring them to the same CRS and extent.'
        raise SceneError(path, found, f'the extent of {finest}, {expected}', remedy)


def _vrt(bands: list[Band], opened: dict[str, DatasetReader], finest: DatasetReader) -> str:
    size = {'rasterXSize': str(finest.width), 'rasterYSize': str(finest.height)}
    root = ElementTree.Element('VRTDataset', size)
    _add_place(root, finest)
    # one data type for all: several bands are read at once
    dtype = str(np.result_type(*(opened[b.path].dtypes[b.number - 1] for b in bands)))
    for position, band in enumerate(bands, start=1):
        _add_band(root, position, band, opened[band.path], dtype, finest)
    return ElementTree.tostring(root, encoding='unicode')


def _add_place(root: Element, raster: DatasetReader) -> None:
    """Where the pixels lie, in whichever way the file says so."""
    if raster.crs:
        _add(root, 'SRS', raster.crs.to_wkt(), dataAxisToSRSAxisMapping='1,2')
    if not raster.transform.is_identity:
        _add(root, 'GeoTransform', ', '.join(map(repr, raster.transform.to_gdal())))
    points, crs = raster.gcps
    if points:
        listed = _add(root, 'GCPList', Projection=crs.to_wkt() if crs else '')
        for point in points:
            facts = {'Id': point.id, 'Pixel': point.col, 'Line': point.row}
            facts |= {'X': point.x, 'Y': point.y, 'Z': point.z or 0}
            _add(listed, 'GCP', **{key: str(value) for key, value in facts.items()})
    polynomials: RPC | None = raster.rpcs
    if polynomials:
        tags = _add(root, 'Metadata', domain='RPC')
        for key, value in polynomials.to_gdal().items():
            _add(tags, 'MDI', str(value), key=key)


def _add_band(
    root: Element,
    position: int,
    band: Band,
    raster: DatasetReader,
    dtype: str,
    finest: DatasetReader,
) -> None:
    own = band.number - 1
    rows, columns = raster.block_shapes[own]
    facts = {'band': position, 'blockXSize': columns, 'blockYSize': rows}
    facts_text = {key: str(value) for key, value in facts.items()}
    element = _add(root, 'VRTRasterBand', dataType=GDAL_TYPES[dtype], **facts_text)
    name = band.name or raster.descriptions[own]
    if name:
        _add(element, 'Description', name)
    nodata = raster.nodatavals[own] if band.nodata is None else band.nodata
    if nodata is not None:
        _add(element, 'NoDataValue', 'nan' if math.isnan(nodata) else repr(nodata))
    known = {'Scale': (band.scale, raster.scales[own], 1.0)}
    known['Offset'] = band.offset, raster.offsets[own], 0.0
    for tag, (given, declared, nothing) in known.items():
        value = declared if given is None else given
        if value != nothing:
            _add(element, tag, repr(float(value)))
    if raster.units[own]:
        _add(element, 'UnitType', raster.units[own])
    _add_source(element, band, str(band.number), raster, finest)
    flags = raster.mask_flag_enums[own]
    is_measured = raster.colorinterp[own] != ColorInterp.alpha
    if is_measured and (MaskFlags.per_dataset in flags or MaskFlags.alpha in flags):
        mask = _add(_add(element, 'MaskBand'), 'VRTRasterBand', dataType='Byte')
        _add_source(mask, band, f'mask,{band.number}', raster, finest)


def _add_source(
    element: Element, band: Band, which: str, raster: DatasetReader, finest: DatasetReader
) -> None:
    """The file of a band, spread over the whole image."""
    source = _add(element, 'SimpleSource')
    _add(source, 'SourceFilename', gdal_name(band.path), relativeToVRT='0')
    _add(source, 'SourceBand', which)
    for tag, size in {'SrcRect': raster, 'DstRect': finest}.items():
        span = {'xSize': str(size.width), 'ySize': str(size.height)}
        _add(source, tag, xOff='0', yOff='0', **span)


def _add(parent: Element, tag: str, text: Any = None, **attributes: str) -> Element:
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text
    return element
