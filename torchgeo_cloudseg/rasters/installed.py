"""The GDAL that is installed."""

from __future__ import annotations

from collections.abc import Iterable

import rasterio


def gdal_version() -> str:
    """Version of the GDAL that reads and writes, such as ``3.10.3``.

    Returns:
        the version.

    Example:
        >>> int(gdal_version().partition('.')[0]) >= 3
        True
    """
    return str(rasterio.__gdal_version__)


def missing_drivers(names: Iterable[str]) -> list[str]:
    """Formats that this GDAL does not know.

    Args:
        names: GDAL's short names, such as 'COG'.

    Returns:
        those of them that it does not know.

    Example:
        >>> missing_drivers(['GTiff', 'no such format'])
        ['no such format']
    """
    with rasterio.Env() as env:
        known = env.drivers()
    return [name for name in names if name not in known]
