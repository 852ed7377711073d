"""An image that was found, and what is known of it before it is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from ...rasters import is_local, name_of

Kind = Literal['optical', 'sar', '']

#: Dates in names: 20200701, 2020-07-01 or 2020_07_01, with nothing but other words around.
DAY = re.compile(r'(?<!\d)((?:19|20)\d\d)[-_]?([01]\d)[-_]?([0-3]\d)(?!\d)')

#: Files that count as rasters in a folder.
RASTER_SUFFIXES = ('.tif', '.tiff', '.vrt', '.jp2', '.img')


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
        # an address has %20 where a file has a space
        name = name if is_local(path) else unquote(name)
        return cls(path, name, kind, day_in(name))


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


def is_raster(path: Path) -> bool:
    """Whether a file counts as a raster: by its ending."""
    return path.suffix.lower() in RASTER_SUFFIXES and path.is_file()
