"""Images of files and folders, whatever product they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from ...rasters import ArchivePath, folder_at, sources_of, unreadable_folder
from .band_files import grouped, is_beside
from .found import (
    PICTURE_SUFFIXES,
    Faults,
    FoundImage,
    Kind,
    Place,
    day_in,
    found_or_broken,
    is_raster,
)
from .landsat import landsat_images
from .planet import planet_images
from .sentinel1 import sentinel1_images
from .sentinel2 import sentinel2_images, sentinel2_subdataset

#: Files that stand for the folder of a product.
METADATA = re.compile(r'MTD_MSIL\w+\.xml|manifest\.safe')

#: What finds the images of a folder, if it is a product itself, and what they are.
SAFE: dict[Kind, Callable[[Place], list[FoundImage]]] = {
    'optical': sentinel2_images,
    'sar': sentinel1_images,
}


def images_in(paths: list[str], faults: Faults | None = None) -> list[FoundImage]:
    """Images of files and folders.

    Files of single bands, such as ``B02.tif`` and ``B03.tif``, make one image. A folder is a
    product, or holds products and rasters.

    Args:
        paths: folders, files, addresses, or other names that GDAL knows.
        faults: where to put what is wrong with an image, which something that cannot be opened
            stands in for, by its path; None to raise it.

    Returns:
        the images; masks and pictures that come with products are none.

    Raises:
        SceneError: if files that make an image cannot be opened.
    """
    found: list[FoundImage] = []
    files: list[str] = []
    for path in paths:
        stand_in = FoundImage.of_file(path)
        found += found_or_broken(partial(_named_by, path, files, faults), stand_in, faults)
    return found + grouped(files, faults)


def _named_by(path: str, files: list[str], faults: Faults | None) -> list[FoundImage]:
    """Images of what is no file of an image; any other is put with the files."""
    if path.startswith(('SENTINEL2_L1C:', 'SENTINEL2_L2A:')):
        return [sentinel2_subdataset(path)]
    folder, _, name = path.rpartition('/')
    if METADATA.fullmatch(name):
        path = folder or '.'
    if place := folder_at(path):
        return _in_folder(place, faults)
    files.append(path)
    return []


def _in_folder(folder: Place, faults: Faults | None) -> list[FoundImage]:
    try:
        entries: list[Place] = [*folder.iterdir()]
    except OSError as error:
        raise unreadable_folder(str(folder), error) from error
    if images := _of_product(folder, faults):
        return images
    for entry in sorted(entries):
        stand_in = FoundImage.of_file(str(entry))
        images += found_or_broken(partial(_in_entry, entry, faults), stand_in, faults)
    images += planet_images(folder, deep=False, faults=faults)
    known = {source for image in images for source in (image.path, *sources_of(image.path))}
    files = [str(file) for file in sorted(entries) if is_raster(file) and str(file) not in known]
    if not images and not files:
        files = [str(file) for file in sorted(entries) if is_raster(file, PICTURE_SUFFIXES)]
    return images + grouped([file for file in files if not is_beside(file)], faults)


def _in_entry(entry: Place, faults: Faults | None) -> list[FoundImage]:
    """Images of a product in a folder, packed or not."""
    folder = folder_at(str(entry))
    if folder is None:
        return []
    if isinstance(folder, ArchivePath) and entry.is_file():
        return _in_folder(folder, faults)
    return _of_product(folder, faults) or planet_images(folder, faults=faults)


def _of_product(folder: Place, faults: Faults | None) -> list[FoundImage]:
    """Images of a folder, if it is a product."""
    name = folder.name.removesuffix('.SAFE')
    for kind, product in SAFE.items():
        stand_in = FoundImage(str(folder), name, kind, day_in(name))
        if images := found_or_broken(partial(product, folder), stand_in, faults):
            return images
    return landsat_images(folder, faults)
