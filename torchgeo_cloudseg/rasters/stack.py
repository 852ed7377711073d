"""One image of several files: bands of any resolution on the finest grid among them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from rasterio.crs import CRS
from rasterio.io import DatasetReader

from .errors import SceneError
from .grid import Grid
from .header import header_of
from .name import gdal_name
from .open import naming, open_raster
from .vrt import Element, add, add_mask, add_points, add_polynomials, add_source

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
        unit: what physical values are, such as 'dB' or 'power' (defaults to what the file says).

    Example:
        >>> Band('B11_20m.tif', name='B11', scale=0.0001).number
        1
    """

    path: str
    number: int = 1
    name: str = ''
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    unit: str = ''


def band_stack(bands: Sequence[Band | str | os.PathLike[str]]) -> str:
    """Put bands of several files together as one image.

    The image is the text of a VRT. GDAL takes it for a path, and so does everything here:
    :class:`~.image.Image`, :func:`~.window.read_window`, :func:`~.header.read_header`. Written to
    a file that ends in ``.vrt`` it can be kept. Values stay as they are stored; names, nodata,
    masks, scale and offset, ground control points and rational polynomials stay with them.

    Files have the same extent (see :meth:`~.grid.Grid.covers_like`), and pixels of any size: those
    of coarser bands are repeated.

    Example:
        >>> from torchgeo_cloudseg.rasters import read_window
        >>> optical = str(next(root.glob('test/planet_cloudy_*/*/*.tif')))
        >>> path = band_stack([Band(optical, 3), Band(optical, 4, name='NIR')])
        >>> read_window(path, (0, 256), (0, 256)).shape
        (2, 256, 256)

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
        with naming(_path(band)):
            return [Band(os.fspath(band), number) for number in header_of(raster).color_bands]
    if not 1 <= band.number <= raster.count:
        found = f'{raster.count} band(s)'
        raise SceneError(band.path, found, f'a band {band.number}', 'Name another band.')
    return [band]


def _check_extents(opened: dict[str, DatasetReader], finest: str) -> None:
    """Refuse files that do not lie upon each other."""
    grids = {}
    for path, raster in opened.items():
        with naming(path):
            grids[path] = header_of(raster).grid
    wanted = grids[finest]
    for path, grid in grids.items():
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
    add_place(root, header_of(finest).grid)
    # one data type for all: several bands are read at once
    stored = {opened[band.path].dtypes[band.number - 1] for band in bands}
    # one that numpy does not know
    kinds = {'complex64' if kind == 'complex_int16' else kind for kind in stored}
    dtype = GDAL_TYPES[str(np.result_type(*kinds))]
    for position, band in enumerate(bands, start=1):
        raster, size = opened[band.path], finest.shape
        element = add(root, 'VRTRasterBand', dataType=dtype, band=str(position))
        beside = [other.number for other in bands if other.path == band.path]
        with naming(band.path):
            _add_facts(element, band, raster)
            add_source(element, gdal_name(band.path), str(band.number), raster.shape, size)
            add_mask(element, band.path, raster, band.number, beside, size)
    return ElementTree.tostring(root, encoding='unicode')


def add_place(root: Element, grid: Grid) -> None:
    """Say where the pixels of a VRT lie.

    Args:
        root: the VRT.
        grid: the place.
    """
    if grid.crs:
        add(root, 'SRS', CRS.from_user_input(grid.crs).to_wkt())
    if not grid.transform.is_identity:
        add(root, 'GeoTransform', ', '.join(map(repr, grid.transform.to_gdal())))
    if grid.control and grid.control.points:
        add_points(root, grid.control)
    if grid.control and grid.control.polynomials:
        add_polynomials(root, grid.control, domain='RPC')


def _add_facts(element: Element, band: Band, raster: DatasetReader) -> None:
    """What a band is called, and what its values mean."""
    own = band.number - 1
    rows, columns = raster.block_shapes[own]
    element.attrib |= {'blockXSize': str(columns), 'blockYSize': str(rows)}
    name = band.name or raster.descriptions[own]
    if name:
        add(element, 'Description', name)
    nodata = raster.nodatavals[own] if band.nodata is None else band.nodata
    if nodata is not None:
        add(element, 'NoDataValue', repr(float(nodata)))
    known = {'Scale': (band.scale, raster.scales[own], 1.0)}
    known['Offset'] = band.offset, raster.offsets[own], 0.0
    for tag, (given, declared, nothing) in known.items():
        value = declared if given is None else given
        if value != nothing:
            add(element, tag, repr(float(value)))
    unit = band.unit or raster.units[own]
    if unit:
        add(element, 'UnitType', unit)
