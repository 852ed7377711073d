"""Writing rasters that are complete or absent, never half written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray


def write_geotiff(path: Path, bands: NDArray[Any], **profile: Any) -> None:
    """Write a GeoTIFF.

    Args:
        path: the file.
        bands: pixels (C, H, W), in the data type to store.
        **profile: further properties, such as ``crs``, ``transform`` and ``nodata``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{os.getpid()}.{path.name}')
    count, height, width = bands.shape
    size = {'count': count, 'height': height, 'width': width, 'dtype': bands.dtype.name}
    with rasterio.open(temporary, 'w', driver='GTiff', **size, **profile) as raster:
        raster.write(bands)
    temporary.replace(path)


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write a ``.npy`` file.

    Args:
        path: the file.
        array: what to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{os.getpid()}.{path.name}')
    np.save(temporary, array, allow_pickle=False)
    temporary.replace(path)
