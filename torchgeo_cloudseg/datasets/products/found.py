"""An image that was found, and what is known of it before it is opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from ...rasters import ArchivePath, SceneError, is_local, name_of

Kind = Literal['optical', 'sar', '']

#: A folder, or an archive that is like one; a file in either.
Place = Path | ArchivePath

#: What was wrong with images, by the path of what stands in for each.
Faults = dict[str, Exception]

#: What reading a product raises where something in it is broken.
BROKEN = (ValueError, OSError, ArithmeticError)

#: Dates in names: 20200701, 2020-07-01 or 2020_07_01, with nothing but other words around.
DAY = re.compile(r'(?<!\d)((?:19|20)\d\d)[-_]?([01]\d)[-_]?([0-3]\d)(?!\d)')

#: Files that count as rasters in a folder.
RASTER_SUFFIXES = ('.tif', '.tiff', '.vrt', '.jp2', '.img')

#: Those that do where there are no others, of which they may be previews.
PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg')


@dataclass(frozen=True)
class FoundImage:
    """An image of one place and time.

    Attributes:
        path: what GDAL opens, the text of a VRT where it is made of several files.
        name: what to call it.
        kind: 'optical', 'sar', or empty where nobody says.
        day: when it was taken, where that is known.
    """

    path: str
    name: str
    kind: Kind = ''
    day: date | None = None

    @classmethod
    def of_file(cls, path: str, kind: Kind = '') -> FoundImage:
        """An image in a file.

        Args:
            path: the file, an address, or another name that GDAL knows.
            kind: what it is, where that is known.

        Returns:
            the image, called and dated by the name of the file.
        """
        name = Path(name_of(path)).stem
        if not is_local(path):
            # an address has %20 where a file has a space, and '!' before a member of an archive
            name = unquote(name.rpartition('!')[2])
        return cls(path, name, kind, day_in(name))


def found_or_broken(
    find: Callable[[], list[FoundImage]], stand_in: FoundImage, faults: Faults | None
) -> list[FoundImage]:
    """Images, or what stands in for those that are broken.

    Args:
        find: gives the images.
        stand_in: what to give where it cannot.
        faults: where to put what was wrong, by the path of *stand_in*; None to raise it.

    Returns:
        the images.

    Raises:
        SceneError: if something is broken, and *faults* is None.
        OSError: if a file cannot be found or read, likewise.
    """
    try:
        return find()
    except BROKEN as error:
        fault: Exception = error
        if not isinstance(error, SceneError | OSError):
            fault = SceneError(stand_in.path, f'a broken product ({error})', 'a complete one')
        if faults is None:
            raise fault from error.__cause__
        faults[stand_in.path] = fault
        return [stand_in]


def day_in(text: str) -> date | None:
    """The first date that a text names.

    Args:
        text: such as ``S2A_MSIL2A_20200701T101559_N0214_R065_T32UQD``.

    Returns:
        the date; None where there is none.
    """
    for found in DAY.finditer(re.sub(r'(?<=\d)T\d{6}', '', text)):
        try:
            return date(*map(int, found.groups()))
        except ValueError:
            continue
    return None


def inside(folder: Place, pattern: str = '*', deep: bool = False) -> list[Place]:
    """Files and folders in a folder.

    Args:
        folder: the folder.
        pattern: what their names match.
        deep: look in the folders within it, too.

    Returns:
        those that match, in order.
    """
    found: list[Place] = [*(folder.rglob(pattern) if deep else folder.glob(pattern))]
    return sorted(found)


def is_raster(path: Place, suffixes: tuple[str, ...] = RASTER_SUFFIXES) -> bool:
    """Whether a file counts as a raster: by its ending."""
    return path.suffix.lower() in suffixes and path.is_file()
