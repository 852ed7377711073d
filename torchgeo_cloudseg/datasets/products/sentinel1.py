"""Sentinel-1 products."""

from __future__ import annotations

import logging
import re
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from ...rasters import Band, SceneError, band_stack, divided_band, reading
from .found import FoundImage, Place, day_in, inside, is_raster

logger = logging.getLogger(__name__)

#: Places down and across an image at which its calibration is looked up.
CELLS = 10, 40

#: Order of the polarizations.
ORDER = ('vv', 'vh', 'hh', 'hv')


def sentinel1_images(folder: Place) -> list[FoundImage]:
    """The image of a Sentinel-1 product.

    Stored amplitudes become sigma nought by the annotation; where there is none they stay as they
    are, which is said. 0 is no data.

    Args:
        folder: a SAFE folder.

    Returns:
        an image with a band per polarization, placed by its ground control points, whose
        values are amplitudes; nothing for another folder.

    Raises:
        SceneError: if files cannot be opened, or the annotation cannot be read.
    """
    if not (folder / 'measurement').is_dir():
        return []
    measured: dict[str, Place] = {}
    for file in inside(folder / 'measurement'):
        found = re.search(r'-(vv|vh|hh|hv)-', file.name.lower())
        if found and is_raster(file):
            measured.setdefault(found.group(1), file)
    if not measured:
        return []
    bands = []
    for polarization in sorted(measured, key=ORDER.index):
        file = measured[polarization]
        path = _calibrated(folder, file)
        bands.append(Band(path, 1, polarization.upper(), nodata=0, unit='amplitude'))
    name = folder.name.removesuffix('.SAFE')
    return [FoundImage(band_stack(bands), name, 'sar', day_in(name))]


def _calibrated(folder: Place, file: Place) -> str:
    """A band whose squares are sigma nought."""
    table = folder / 'annotation' / 'calibration' / f'calibration-{file.stem}.xml'
    if not table.is_file():
        logger.warning('%s: no calibration (%s): amplitudes are taken as they are.', file, table)
        return str(file)
    with reading(str(file)) as raster:
        shape = raster.shape
    return divided_band(str(file), _sigma_nought(table, shape))


def _sigma_nought(table: Place, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Calibration in the middle of cells that cover the image."""
    try:
        vectors = [
            (
                float(vector.findtext('line', '')),
                np.array(vector.findtext('pixel', '').split(), np.float64),
                np.array(vector.findtext('sigmaNought', '').split(), np.float64),
            )
            for vector in ElementTree.fromstring(table.read_bytes()).iter('calibrationVector')
        ]
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise SceneError(table, f'no calibration ({error})', 'vectors of sigma nought') from error
    if not vectors or any(not len(x) or len(x) != len(y) or y.min() <= 0 for _, x, y in vectors):
        raise SceneError(table, 'no usable calibration vectors', 'pixels and sigma nought of each')
    rows, cols = ((np.arange(n) + 0.5) * size / n for n, size in zip(CELLS, shape, strict=True))
    lines = np.array([line for line, *_ in vectors])
    across = np.stack([np.interp(cols, pixels, values) for _, pixels, values in vectors])
    order = np.argsort(lines)
    return np.stack([np.interp(rows, lines[order], column[order]) for column in across.T], axis=1)
