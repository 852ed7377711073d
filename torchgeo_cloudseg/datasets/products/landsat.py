"""Landsat Collection 2 scenes."""

from __future__ import annotations

import math
import re
from functools import partial

from ...rasters import Band, SceneError, band_stack
from ..sensors import SENSORS
from .found import Faults, FoundImage, Place, day_in, found_or_broken, inside, is_raster

#: Names of the files of a scene.
SCENE = re.compile(r'(L[COTEM]\d\d_L\w+?_\d{6}_\d{8}_\d{8}_\d\d_\w\w)_(?:SR_)?B\d', re.IGNORECASE)

#: Sensor by satellite: bands of the same number see other colors.
SENSOR = {'04': 'landsat-4-7-sr', '05': 'landsat-4-7-sr', '07': 'landsat-4-7-sr'}


def landsat_images(folder: Place, faults: Faults | None = None) -> list[FoundImage]:
    """Images of a folder with a Landsat scene.

    Args:
        folder: the folder, with files such as ``LC08_L2SP_..._SR_B4.TIF`` and ``..._MTL.txt``.
        faults: where to put what is wrong with an image; None to raise it.

    Returns:
        an image per scene, with the bands of the optical sensor (surface reflectance, or that at
        the top of the atmosphere for Level-1), and nothing for another folder.

    Raises:
        SceneError: if files cannot be opened.
    """
    scenes: dict[str, list[Place]] = {}
    for file in inside(folder):
        found = SCENE.match(file.name)
        if found and is_raster(file):
            scenes.setdefault(found.group(1), []).append(file)
    images: list[FoundImage] = []
    for name, files in scenes.items():
        stand_in = FoundImage(str(folder / name), name, 'optical', day_in(name))
        images += found_or_broken(partial(_images, folder, name, files), stand_in, faults)
    return images


def _images(folder: Place, name: str, files: list[Place]) -> list[FoundImage]:
    sensor = SENSORS[SENSOR.get(name[2:4], 'landsat-8-9-sr')]
    surface = [file for file in files if '_SR_B' in file.stem.upper()]
    metadata = _metadata(folder, name)
    bands = []
    for file in surface or files:
        number = re.search(r'_B(\d+)$', file.stem.upper())
        band = sensor.find_band(f'SR_B{number.group(1)}') if number else None
        if band and number:
            scale = _rescaling(metadata, int(number.group(1)), bool(surface))
            bands.append(Band(str(file), 1, band, 0, *(scale or (sensor.scale, sensor.offset))))
    if not bands:
        raise SceneError(str(folder / name), 'no optical bands', 'files such as *_SR_B4.TIF')
    return [FoundImage(band_stack(bands), name, 'optical', day_in(name))]


def _metadata(folder: Place, name: str) -> str:
    """Metadata of a scene: text, JSON or XML, of which the first that is there does."""
    for suffix in ('txt', 'json', 'xml'):
        file = folder / f'{name}_MTL.{suffix}'
        if file.is_file():
            return file.read_bytes().decode(errors='replace')
    return ''


def _rescaling(metadata: str, band: int, surface: bool) -> tuple[float, float] | None:
    """Scale and offset of a band, of which that of the product's own level comes first."""
    facts = [
        re.search(rf'REFLECTANCE_{fact}_BAND_{band}\b[\s"=:>]+([-+.\dEe]+)', metadata)
        for fact in ('MULT', 'ADD')
    ]
    if facts[0] is None or facts[1] is None:
        return None
    scale, offset = (float(found.group(1)) for found in facts if found)
    elevation = None if surface else re.search(r'SUN_ELEVATION[\s"=:>]+([-+.\d]+)', metadata)
    sun = math.sin(math.radians(float(elevation.group(1)))) if elevation else 1.0
    return scale / sun, offset / sun
