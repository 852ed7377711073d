"""PlanetScope orders."""

from __future__ import annotations

import re
from pathlib import Path

from ...rasters import Band, band_stack, open_raster
from .found import FoundImage, day_in, is_raster

#: Names of image files; masks (UDM, UDM2) lie beside them.
IMAGE = re.compile(r'^(?!.*_udm2?)(\d{8}_\d{6}_\w+)_analytic\w*', re.IGNORECASE)

#: Bands by how many there are.
BANDS = {
    4: ('blue', 'green', 'red', 'nir'),
    5: ('blue', 'green', 'red', 'rededge', 'nir'),
    8: ('coastal_blue', 'blue', 'green_i', 'green', 'yellow', 'red', 'rededge', 'nir'),
}


def planet_images(folder: Path, deep: bool = True) -> list[FoundImage]:
    """Images of an order, or of a folder of it.

    Args:
        folder: the folder.
        deep: look for images that lie deeper, each in a folder of its own.

    Returns:
        the images, and nothing for another folder.

    Raises:
        SceneError: if files cannot be opened.
    """
    found = [
        (matched.group(1), file)
        for file in sorted(folder.rglob('*.tif') if deep else folder.glob('*.tif'))
        if (matched := IMAGE.match(file.name)) and is_raster(file)
    ]
    return [FoundImage(_named(file), file.stem, 'optical', day_in(name)) for name, file in found]


def _named(file: Path) -> str:
    """The image with names of its bands."""
    with open_raster(file) as raster:
        described, count = any(raster.descriptions), raster.count
    if described or count not in BANDS:
        return str(file)
    names = enumerate(BANDS[count], start=1)
    return band_stack([Band(str(file), number, name) for number, name in names])
