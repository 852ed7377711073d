"""Images of files and folders, whatever product they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ...rasters import SceneError, is_local, sources_of
from .band_files import grouped, is_beside
from .found import Faults, FoundImage, Kind, day_in, found_or_broken, is_raster
from .landsat import landsat_images
from .planet import planet_images
from .sentinel1 import sentinel1_images
from .sentinel2 import sentinel2_images, sentinel2_subdataset

#: Files that stand for the folder of a product.
METADATA = re.compile(r'MTD_MSIL\w+\.xml|manifest\.safe')

#: What finds the images of a folder, if it is a product itself, and what they are.
SAFE: dict[Kind, Callable[[Path], list[FoundImage]]] = {
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
        if path.startswith(('SENTINEL2_L1C:', 'SENTINEL2_L2A:')):
            stand_in = FoundImage.of_file(path, 'optical')
            found += found_or_broken(partial(_subdataset, path), stand_in, faults)
        elif is_local(path) and (METADATA.fullmatch(Path(path).name) or Path(path).is_dir()):
            folder = Path(path) if Path(path).is_dir() else Path(path).parent
            stand_in = FoundImage.of_file(str(folder))
            found += found_or_broken(partial(_in_folder, folder, faults), stand_in, faults)
        else:
            files.append(path)
    return found + grouped(files, faults)


def _subdataset(path: str) -> list[FoundImage]:
    return [sentinel2_subdataset(path)]


def _in_folder(folder: Path, faults: Faults | None) -> list[FoundImage]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        found = f'an unreadable folder ({error.strerror})'
        raise SceneError(folder, found, 'a readable folder', 'Make it readable.') from error
    if images := _of_product(folder, faults):
        return images
    for entry in entries:
        if entry.is_dir():
            images += _of_product(entry, faults) or planet_images(entry, faults=faults)
    images += planet_images(folder, deep=False, faults=faults)
    known = {source for image in images for source in (image.path, *sources_of(image.path))}
    files = [str(file) for file in entries if is_raster(file) and str(file) not in known]
    return images + grouped([file for file in files if not is_beside(file)], faults)


def _of_product(folder: Path, faults: Faults | None) -> list[FoundImage]:
    """Images of a folder, if it is a product."""
    name = folder.name.removesuffix('.SAFE')
    for kind, product in SAFE.items():
        stand_in = FoundImage(str(folder), name, kind, day_in(name))
        if images := found_or_broken(partial(product, folder), stand_in, faults):
            return images
    return landsat_images(folder, faults)
