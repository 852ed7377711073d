"""Images of files and folders, whatever product they are."""

from __future__ import annotations

import re
from pathlib import Path

from ...rasters import SceneError, is_local, sources_of
from .band_files import grouped, is_beside
from .found import FoundImage, is_raster
from .landsat import landsat_images
from .planet import planet_images
from .sentinel1 import sentinel1_images
from .sentinel2 import sentinel2_images, sentinel2_subdataset

#: Files that stand for the folder of a product.
METADATA = re.compile(r'MTD_MSIL\w+\.xml|manifest\.safe')

#: What finds the images of a folder, if it is a product itself.
PRODUCTS = (sentinel2_images, sentinel1_images, landsat_images)


def images_in(paths: list[str]) -> list[FoundImage]:
    """Images of files and folders.

    Files of single bands, such as ``B02.tif`` and ``B03.tif``, make one image. A folder is a
    product, or holds products and rasters.

    Args:
        paths: folders, files, addresses, or other names that GDAL knows.

    Returns:
        the images; masks and pictures that come with products are none.

    Raises:
        SceneError: if files that make an image cannot be opened.
    """
    found: list[FoundImage] = []
    files: list[str] = []
    for path in paths:
        if path.startswith(('SENTINEL2_L1C:', 'SENTINEL2_L2A:')):
            found.append(sentinel2_subdataset(path))
        elif METADATA.fullmatch(Path(path).name):
            found += _in_folder(Path(path).parent)
        elif is_local(path) and Path(path).is_dir():
            found += _in_folder(Path(path))
        else:
            files.append(path)
    return found + grouped(files)


def _in_folder(folder: Path) -> list[FoundImage]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        found = f'an unreadable folder ({error.strerror})'
        raise SceneError(folder, found, 'a readable folder', 'Make it readable.') from error
    for product in PRODUCTS:
        if images := product(folder):
            return images
    images = [image for entry in entries if entry.is_dir() for image in _of_product(entry)]
    images += planet_images(folder, deep=False)
    known = {source for image in images for source in (image.path, *sources_of(image.path))}
    files = [str(file) for file in entries if is_raster(file) and str(file) not in known]
    return images + grouped([file for file in files if not is_beside(file)])


def _of_product(folder: Path) -> list[FoundImage]:
    """Images of a folder in a folder, if it is a product."""
    for product in (*PRODUCTS, planet_images):
        if images := product(folder):
            return images
    return []
