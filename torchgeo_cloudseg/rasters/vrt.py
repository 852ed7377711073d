"""Parts of GDAL's virtual rasters (VRT)."""

from __future__ import annotations

from collections.abc import Collection
from xml.etree import ElementTree

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from .control import Control
from .name import gdal_name

Element = ElementTree.Element

#: Height and width.
Size = tuple[int, int]

#: Alpha of floating-point types is 0..1, and becomes that of bytes.
ALPHA_SCALE = 255


def add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    """Add an element to a VRT.

    Args:
        parent: where.
        tag: what it is.
        text: what stands in it.
        **attributes: its attributes.

    Returns:
        the element.
    """
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text
    return element


def add_points(parent: Element, control: Control) -> None:
    """Add ground control points to a VRT.

    Args:
        parent: where.
        control: the points.
    """
    crs = control.crs.to_wkt() if control.crs else ''
    listed = add(parent, 'GCPList', Projection=crs)
    names = 'Line', 'Pixel', 'X', 'Y', 'Z'
    for number, point in enumerate(control.points):
        facts = dict(zip(names, map(repr, point), strict=True))
        add(listed, 'GCP', Id=str(number), **facts)


def add_polynomials(parent: Element, control: Control, **attributes: str) -> None:
    """Add rational polynomials to a VRT.

    Args:
        parent: where.
        control: the polynomials.
        **attributes: of the element.
    """
    tags = add(parent, 'Metadata', **attributes)
    for key, value in control.polynomials:
        add(tags, 'MDI', value, key=key)


def add_mask(
    band: Element,
    path: str,
    raster: DatasetReader,
    number: int,
    beside: Collection[int],
    size: Size | None = None,
) -> bool:
    """Add a mask to a band, where the file has one other than a nodata value.

    GDAL takes alpha for a mask only where there is no nodata, and only if it is an integer. The
    fourth band of 8-bit files is often marked as alpha though it is a measurement: a band that is
    looked at is no mask, and then there is no alpha.

    Args:
        band: where.
        path: the file.
        raster: the same, open.
        number: which of its bands it is, counted from 1.
        beside: its bands that are looked at.
        size: height and width of the image, where these are not those of the file.

    Returns:
        whether there is a mask.
    """
    colors = enumerate(raster.colorinterp, start=1)
    marked = [other for other, color in colors if color == ColorInterp.alpha]
    if marked and not set(marked) & set(beside):
        is_float = np.issubdtype(raster.dtypes[marked[0] - 1], np.floating)
        source, ratio = str(marked[0]), ALPHA_SCALE if is_float else 1
    else:
        unmasked = MaskFlags.all_valid, MaskFlags.alpha, MaskFlags.nodata
        if set(unmasked) & set(raster.mask_flag_enums[number - 1]):
            return False
        source, ratio = f'mask,{number}', 1
    mask = add(add(band, 'MaskBand'), 'VRTRasterBand', dataType='Byte')
    add_source(mask, gdal_name(path), source, raster.shape, size, ScaleRatio=str(ratio))
    return True


def add_source(
    band: Element, name: str, source: str, old: Size, new: Size | None = None, **facts: str
) -> None:
    """Add the file that holds the pixels of a band, spread over the whole image.

    Args:
        band: where.
        name: how GDAL finds the file.
        source: which of its bands.
        old: its height and width.
        new: height and width of the image, where these are others.
        **facts: what else to say of it.
    """
    element = add(band, 'ComplexSource' if facts else 'SimpleSource')
    add(element, 'SourceFilename', name, relativeToVRT='0')
    add(element, 'SourceBand', source)
    for tag, (height, width) in {'SrcRect': old, 'DstRect': new or old}.items():
        add(element, tag, xOff='0', yOff='0', xSize=str(width), ySize=str(height))
    for tag, fact in facts.items():
        add(element, tag, fact)
