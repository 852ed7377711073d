"""Sheet numbers of the Chinese national map series, 1:50 000 (GB/T 13989).

``NH49E001013`` is row 001, column 013 of the 24 x 24 sheets at scale E (1:50 000) within sheet NH49
of the International Map of the World 1:1 000 000: letter H is the eighth band of 4 degrees north of
the equator, 49 the column of 6 degrees counted from 180 degrees west.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

#: Height and width of a sheet in degrees: 10' by 15'.
SHEET_HEIGHT = Fraction(1, 6)
SHEET_WIDTH = Fraction(1, 4)

#: Sheets along each side of a 1:1 000 000 sheet of 4 by 6 degrees.
SHEETS_PER_SIDE = 24

#: Bands of the 1:1 000 000 map from the equator to 88 degrees north.
BANDS = 'ABCDEFGHIJKLMNOPQRSTUV'

_NAME = re.compile(r'N(?P<band>[A-V])(?P<zone>\d{2})(?P<scale>[A-Z])(?P<row>\d{3})(?P<col>\d{3})')


def sheet_bounds(name: str) -> tuple[float, float, float, float]:
    """Neat line of a map sheet.

    Args:
        name: number of the sheet, such as ``NH49E001013``.

    Returns:
        west, south, east and north in degrees. Neighbors have the very same edge.

    Raises:
        ValueError: if *name* is no sheet number of the northern hemisphere at 1:50 000.

    Example:
        >>> sheet_bounds('NH49E001013')
        (111.0, 31.833333333333332, 111.25, 32.0)
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            f'{name!r} is no sheet number: expected N, a band letter A to V, two digits of the '
            'zone, E, three digits of the row and three of the column, such as NH49E001013.'
        )
    if match['scale'] != 'E':
        raise ValueError(f'{name!r} is at scale {match["scale"]}, expected E (1:50 000).')
    zone, row, col = int(match['zone']), int(match['row']), int(match['col'])
    if not 1 <= zone <= 60:
        raise ValueError(f'{name!r} has zone {zone}, expected 01 to 60.')
    if not (1 <= row <= SHEETS_PER_SIDE and 1 <= col <= SHEETS_PER_SIDE):
        raise ValueError(f'{name!r} has row {row} and column {col}, expected 001 to 024 each.')
    north = 4 * (BANDS.index(match['band']) + 1) - (row - 1) * SHEET_HEIGHT
    west = 6 * (zone - 31) + (col - 1) * SHEET_WIDTH
    return float(west), float(north - SHEET_HEIGHT), float(west + SHEET_WIDTH), float(north)


def sheet_name(lon: float, lat: float) -> str:
    """Number of the map sheet on which a place lies.

    Args:
        lon: longitude in degrees, -180 to 180 (180 excluded).
        lat: latitude in degrees, 0 to 88 (88 excluded).

    Returns:
        number of the sheet; its western and southern edge belong to it.

    Raises:
        ValueError: if the place lies on no sheet.

    Example:
        >>> sheet_name(111.1, 31.9)
        'NH49E001013'
    """
    if not (-180 <= lon < 180 and 0 <= lat < 88):
        raise ValueError(f'lon={lon}, lat={lat} is on no sheet: expected -180..180 and 0..88.')
    # exact arithmetic: an edge must fall on the same side for all its sheets
    column = math.floor((Fraction(lon) + 180) / SHEET_WIDTH)
    if float(column * SHEET_WIDTH + SHEET_WIDTH - 180) <= lon:
        column += 1
    row_from_equator = math.floor(Fraction(lat) / SHEET_HEIGHT)
    if float((row_from_equator + 1) * SHEET_HEIGHT) <= lat:
        row_from_equator += 1
    band, up = divmod(row_from_equator, SHEETS_PER_SIDE)
    zone, col = divmod(column, SHEETS_PER_SIDE)
    return f'N{BANDS[band]}{zone + 1:02d}E{SHEETS_PER_SIDE - up:03d}{col + 1:03d}'
