"""Writing rasters that are complete or absent, never half written."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from .._files import replacing


def write_geotiff(
    path: Path,
    bands: NDArray[np.generic],
    crs: CRS | None = None,
    transform: Affine | None = None,
    nodata: float | None = None,
) -> None:
    """Write a GeoTIFF.

    Args:
        path: the file; its folder is made if need be.
        bands: pixels (C, H, W), in the data type to store.
        crs: the CRS, if the file is to state one.
        transform: the georeference, if the file is to have one.
        nodata: the value that stands for no data, if there is one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    with warnings.catch_warnings(), replacing(path) as temporary:
        # some files of the real data sets state no place
        warnings.simplefilter('ignore', NotGeoreferencedWarning)
        with rasterio.open(
            temporary,
            'w',
            driver='GTiff',
            count=count,
            height=height,
            width=width,
            dtype=bands.dtype.name,
            crs=crs,
            transform=transform,
            nodata=nodata,
        ) as raster:
            raster.write(bands)


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write a ``.npy`` file.

    Args:
        path: the file; its folder is made if need be.
        array: what to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        np.save(temporary, array, allow_pickle=False)
