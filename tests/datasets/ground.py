"""Scenes whose pixels say where they lie: whatever is asked for has one right answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyproj
from helpers import write
from rasterio.transform import Affine, from_origin
from torchgeo.datasets import RasterDataset

from torchgeo_cloudseg.datasets import LandCoverClass, Layer, SceneDataset, by_key

#: Where two UTM zones meet.
LON, LAT = 12.0, 45.0
WEST, EAST = 'EPSG:32632', 'EPSG:32633'

#: Stored units of the image per degree.
PER_DEGREE = 1e5


def degrees(crs: Any, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes."""
    return pyproj.Transformer.from_crs(crs, 'EPSG:4326', always_xy=True).transform(x, y)


def image_at(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """What an image shows there."""
    return 10_000 + PER_DEGREE * np.stack([lon - LON, lat - LAT])


def class_at(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Class there: a checkerboard of squares of a thousandth of a degree."""
    return ((np.floor(lon * 1000) + np.floor(lat * 1000)) % 3).astype(np.int64)


class Ground(SceneDataset):
    """Images, backscatter and land cover."""

    layers = by_key(
        Layer('image', 'image', ('lon', 'lat'), ('uint16',), nodata=0),
        Layer('image_sar', 'sar', ('VV',), ('float32',), may_be_nan=True),
        Layer('mask_cloud', 'cloud', ('cloud',), ('uint8',), categorical=True),
        Layer('mask', 'labels', ('class',), ('uint8',), categorical=True),
    )
    legend = tuple(LandCoverClass(f'class {i}', (i + 1,), (80 * i, 90, 100)) for i in range(3))
    ranges: ClassVar = {'image': ((0.0,), (20_000.0,)), 'image_sar': ((-25.0,), (0.0,))}
    fills: ClassVar = {'image_sar': -25.0}


class Labels(RasterDataset):
    """Land cover, as any other project would have it."""

    filename_glob = '*.tif'
    is_image = False


def centers(transform: Affine, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the centers of pixels."""
    row, col = np.mgrid[:height, :width] + 0.5
    return transform.c + transform.a * col, transform.f + transform.e * row


def corner(crs: str, east_m: float, north_m: float, step_m: float = 10) -> tuple[float, float]:
    """Left and top of a place so many meters from where the zones meet, on round coordinates."""
    to_utm = pyproj.Transformer.from_crs('EPSG:4326', crs, always_xy=True)
    x, y = to_utm.transform(LON, LAT)
    return round((x + east_m) / step_m) * step_m, round((y + north_m) / step_m) * step_m


def write_scene(
    root: Path, name: str, crs: str, place: tuple[float, float], size: tuple[int, int] = (64, 64),
    part: str = 'train', collar: int = 0,
) -> None:  # fmt: skip
    """Write a scene at left and top; so many columns at its right are without data."""
    transform = from_origin(*place, 10, 10)
    lon, lat = degrees(crs, *centers(transform, *size))
    image = np.rint(image_at(lon, lat)).astype(np.uint16)
    codes = (class_at(lon, lat) + 1).astype(np.uint8)[None]
    sar = (-10 + 1e3 * (lat - LAT)).astype(np.float32)[None]
    cloud = np.zeros((1, *size), np.uint8)
    if collar:
        image[:, :, -collar:] = codes[:, :, -collar:] = 0
        cloud[:, :, -collar:] = 1
        sar[:, :, -collar:] = np.nan
    layers = {'image': image, 'sar': sar, 'labels': codes, 'cloud': cloud}
    for folder, pixels in layers.items():
        write(root / part / folder / f'{name}.tif', pixels, crs=crs, transform=transform)


def write_labels(path: Path, crs: str, place: tuple[float, float], size: tuple[int, int]) -> None:
    """Write a file of plain labels: classes as they are."""
    transform = from_origin(*place, 10, 10)
    lon, lat = degrees(crs, *centers(transform, *size))
    write(path, class_at(lon, lat).astype(np.uint8)[None], crs=crs, transform=transform)


def assert_true(sample: dict[str, Any], query: Any, crs: Any, least: float = 1.0) -> None:
    """Hold a sample against the ground: what is there is right, and enough is there."""
    x, y, _ = query
    for key in ('image', 'mask'):
        if key not in sample:
            continue
        height, width = sample[key].shape[-2:]
        steps = (x.stop - x.start) / width, (y.stop - y.start) / height
        lon, lat = degrees(crs, *centers(from_origin(x.start, y.stop, *steps), height, width))
        values = sample[key].numpy()
        if key == 'image':
            there = (values > 0).all(axis=0)
            # half a pixel of 10 m, and rounding
            apart = np.abs(values - image_at(lon, lat))[:, there]
            assert apart.max() < 8, apart.max()
        else:
            there = values != 255
            right = values[there] == class_at(lon, lat)[there]
            # at the edges of squares of eight pixels, the nearest pixel may be another
            assert right.mean() > 0.8, right.mean()
        assert there.mean() >= least, (key, there.mean())
