"""Miniature CloudSEN12-high: raw memory maps of procedural landscapes under clouds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.cloudsen12 import SIZE, CloudSEN12
from .atmosphere import add_clouds
from .landscape import draw_landscape
from .m3mcr import CODES, SHARES
from .sensors import backscatter_db, reflectance
from .spectrum import sentinel_2

#: Side of a pixel in meters, and pixels of an image without its padding.
PIXEL_M, FILLED_PX = 10.0, 509

#: Codes of WorldCover in order, which may be stored by their positions.
WORLD_COVER = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)


def write_miniature_cloudsen12(
    root: str | Path,
    *,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    positions: bool = False,
) -> Path:
    """Write miniature CloudSEN12-high: the memory maps that the data set reads.

    Args:
        root: folder to write to.
        seed: seed of the landscapes, 0 or greater.
        counts: images of each split (defaults to 4, 1 and 2).
        positions: store land cover as 0 to 10 instead of as 10 to 100.

    Returns:
        *root*.

    Example:
        >>> root = write_miniature_cloudsen12(folder, counts={'train': 1})
        >>> [path.name for path in root.iterdir()], len(list(root.glob('train/*.dat')))
        (['train'], 16)
    """
    root = Path(root)
    for part, count in (counts or {'train': 4, 'val': 1, 'test': 2}).items():
        (root / part).mkdir(parents=True, exist_ok=True)
        images = [_image(seed, part, number, positions) for number in range(count)]
        for key, layer in CloudSEN12.layers.items():
            for number, band in enumerate(layer.bands):
                stack = np.stack([image[key][number] for image in images])
                file = root / part / f'{layer.folder}_{band}.dat'
                stack.astype(layer.dtypes[0]).tofile(file)
    return root


def _image(seed: int, part: str, number: int, positions: bool) -> dict[str, NDArray[Any]]:
    """Layers of an image, padded; every other one is without clouds."""
    rng = np.random.default_rng((seed, *part.encode(), number))
    land = draw_landscape(rng, (FILLED_PX, FILLED_PX), PIXEL_M, SHARES)
    image = reflectance(rng, land, PIXEL_M)
    label = np.zeros(land.cover.shape, np.int8)
    if number % 2 == 0:
        image, clouds = add_clouds(rng, image)
        thick = clouds & (image[0] > 0.4)
        label = np.where(thick, 1, np.where(clouds, 2, 0)).astype(np.int8)
    codes = CODES[land.cover].astype(np.int16)
    if positions:
        codes = np.searchsorted(WORLD_COVER, np.maximum(codes, 10)).astype(np.int16)
    layers = {
        'image': np.maximum(np.rint(sentinel_2(image) * 10_000), 1),
        'image_sar': np.rint(backscatter_db(rng, land, PIXEL_M) * 100),
        'mask_cloud': label[None],
        'mask': codes[None],
    }
    rows, cols = (side - FILLED_PX for side in SIZE)
    return {key: np.pad(pixels, ((0, 0), (0, rows), (0, cols))) for key, pixels in layers.items()}
