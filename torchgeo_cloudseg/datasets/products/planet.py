"""PlanetScope orders."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from ...rasters import Band, band_stack, reading
from .found import Faults, FoundImage, Place, day_in, found_or_broken, inside, is_raster

#: Names of image files; masks (UDM, UDM2) lie beside them.
IMAGE = re.compile(r'^(?!.*_udm2?)(\d{8}_\d{6}_\w+)_analytic\w*', re.IGNORECASE)

#: Bands by how many there are.
BANDS = {
    4: ('blue', 'green', 'red', 'nir'),
    5: ('blue', 'green', 'red', 'rededge', 'nir'),
    8: ('coastal_blue', 'blue', 'green_i', 'green', 'yellow', 'red', 'rededge', 'nir'),
}


def planet_images(
    folder: Place, deep: bool = True, faults: Faults | None = None
) -> list[FoundImage]:
    """Images of an order, or of a folder of it.

    Args:
        folder: the folder.
        deep: look for images that lie deeper, each in a folder of its own.
        faults: where to put what is wrong with an image; None to raise it.

    Returns:
        the images, and nothing for another folder.

    Raises:
        SceneError: if files cannot be opened.
    """
    found = [
        (matched.group(1), file)
        for file in inside(folder, '*.tif', deep)
        if (matched := IMAGE.match(file.name)) and is_raster(file)
    ]
    images: list[FoundImage] = []
    for name, file in found:
        plain = FoundImage(str(file), file.stem, 'optical', day_in(name))
        images += found_or_broken(partial(_named, plain), plain, faults)
    return images


def _named(image: FoundImage) -> list[FoundImage]:
    """The image with names of its bands."""
    with reading(image.path) as raster:
        described, count = any(raster.descriptions), raster.count
    if described or count not in BANDS:
        return [image]
    names = enumerate(BANDS[count], start=1)
    path = band_stack([Band(image.path, number, name) for number, name in names])
    return [replace(image, path=path)]
