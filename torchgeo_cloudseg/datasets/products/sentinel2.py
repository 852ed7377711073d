"""Sentinel-2 products: SAFE folders, and what GDAL makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ...rasters import Band, SceneError, band_stack, folder_at, reading
from ..sensors import SENSORS, Sensor
from .found import FoundImage, Place, day_in, inside, is_raster

#: First processing baseline that stores values with an offset, and that offset.
OFFSET_BASELINE, OFFSET = 400, -1000.0

#: Stored units of reflectance 1, where the metadata do not say.
QUANTIFICATION = 10_000.0

#: Numbers of bands in the metadata, by position in this list.
BAND_IDS = (
    'B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B10', 'B11', 'B12',
)  # fmt: skip


def sentinel2_images(folder: Place) -> list[FoundImage]:
    """Images of a Sentinel-2 product.

    Args:
        folder: a SAFE folder, L1C or L2A.

    Returns:
        an image per granule, with all bands on the 10 m grid, and nothing for another folder.

    Raises:
        SceneError: if bands are missing or cannot be opened.
    """
    metadata = next(iter(inside(folder, 'MTD_MSIL*.xml')), None)
    if metadata is None and not re.match(r'S2[A-D]_(MSI|OPER)', folder.name):
        return []
    level = 'l1c' if 'L1C' in (metadata.name if metadata else folder.name) else 'l2a'
    sensor = SENSORS[f'sentinel-2-{level}']
    granules = [path for path in inside(folder, 'GRANULE/*') if path.is_dir()] or [folder]
    name = folder.name.removesuffix('.SAFE')
    scales = _scales(metadata, folder.name)
    images = []
    for granule in granules:
        files = _finest(granule, sensor)
        if not files:
            raise SceneError(
                granule, 'no bands', 'IMG_DATA with files such as *_B02_10m.jp2',
                'Download the product again.',
            )  # fmt: skip
        title = name if len(granules) == 1 else granule.name
        path = band_stack(
            [Band(str(files[b]), 1, b, 0, *scales[b]) for b in sensor.band_names if b in files]
        )
        images.append(FoundImage(path, title, 'optical', day_in(name)))
    return images


def sentinel2_subdataset(path: str) -> FoundImage:
    """An image that GDAL finds in a product.

    Args:
        path: such as ``SENTINEL2_L2A:S2A_....SAFE/MTD_MSIL2A.xml:10m:EPSG_32632``.

    Returns:
        the image, with names, scale and offset of its bands.

    Raises:
        SceneError: if it cannot be opened.
    """
    sensor = SENSORS['sentinel-2-l1c' if path.startswith('SENTINEL2_L1C') else 'sentinel-2-l2a']
    file = Path(path.partition(':')[2].rsplit(':', 2)[0])
    folder = folder_at(str(file.parent))
    scales = _scales(folder / file.name if folder else None, str(file.parent))
    with reading(path) as raster:
        titles = [text or '' for text in raster.descriptions]
    names = [None if sensor.is_other(text) else sensor.find_band(text) for text in titles]
    bands = [
        Band(path, number, name, 0, *scales[name])
        for number, name in enumerate(names, start=1)
        if name
    ]
    name = file.parent.name.removesuffix('.SAFE') or file.stem
    return FoundImage(band_stack(bands or [path]), name, 'optical', day_in(name))


def _finest(granule: Place, sensor: Sensor) -> dict[str, Place]:
    """Files of the bands, each at its finest resolution."""
    found: dict[str, tuple[int, Place]] = {}
    for file in inside(granule, deep=True):
        # pictures and masks lie elsewhere
        if 'IMG_DATA' not in file.parts or not is_raster(file) or sensor.is_other(file.stem):
            continue
        band = sensor.find_band(file.stem)
        size = re.search(r'_(\d+)m$', file.stem)
        pixel = int(size.group(1)) if size else 0
        if band and (band not in found or pixel < found[band][0]):
            found[band] = pixel, file
    return {band: file for band, (_, file) in found.items()}


def _scales(metadata: Place | None, name: str) -> Mapping[str, tuple[float, float]]:
    """Scale and offset by band: reflectance is (stored + offset) / quantification."""
    text = ''
    if metadata is not None:
        try:
            text = metadata.read_bytes().decode(errors='replace')
        except OSError as error:
            found = f'an unreadable file ({error.strerror})'
            raise SceneError(metadata, found, 'metadata of the product') from error
    quantification = re.search(r'QUANTIFICATION_VALUE\b[^>]*>\s*([\d.]+)', text)
    unit = float(quantification.group(1)) if quantification else QUANTIFICATION
    listed = re.findall(r'ADD_OFFSET\b[^>]*\bband_id="(\d+)"[^>]*>\s*(-?[\d.]+)', text)
    offsets = {BAND_IDS[int(i)]: float(value) for i, value in listed if int(i) < len(BAND_IDS)}
    baseline = re.search(r'_N(\d{4})_', name)
    usual = 0.0
    if not offsets and not text and baseline and int(baseline.group(1)) >= OFFSET_BASELINE:
        usual = OFFSET
    return {band: (1 / unit, offsets.get(band, usual) / unit) for band in BAND_IDS}
