"""Miniature M3M-CR: a procedural landscape in the real data set's layout and encoding."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine
from tqdm.auto import tqdm

from ..m3mcr_layout import LAYERS, LIST_COLUMNS
from .atmosphere import add_clouds
from .landscape import backscatter_db, land_cover, reflectance
from .writing import write_array, write_geotiff

#: Size of a patch on both grids, and of a pixel in metres.
OPTICAL_PX, COARSE_PX = 300, 90
OPTICAL_M, COARSE_M = 3, 10
PATCH_M = 900

#: Distance between areas in metres: far enough not to touch.
AREA_SPACING_M = 30_000

#: Reflectance of 1 as a stored number.
SCALE = 10_000


def write_miniature_m3mcr(
    root: str | Path,
    *,
    seed: int = 0,
    train_areas: int = 8,
    test_areas: int = 3,
    patches_per_area: int = 4,
    zones: Sequence[int] = (32646,),
    seasons: Sequence[str] = ('fall', 'spring', 'summer', 'winter'),
    progress: bool = True,
) -> Path:
    """Write miniature M3M-CR: real GeoTIFFs and ``.npy`` files in the real layout.

    Patches of an area lie side by side in one landscape. An area depends on the seed and its
    number alone, not on how many there are.

    Args:
        root: folder to write to.
        seed: seed of the landscapes.
        train_areas: areas in the folder ``train``.
        test_areas: areas in the folder ``test``.
        patches_per_area: patches of each area.
        zones: EPSG codes of UTM zones, taken in turn by the areas.
        seasons: seasons, taken in turn by the areas.
        progress: show a progress bar.

    Returns:
        *root*.
    """
    root = Path(root)
    splits = ['train'] * train_areas + ['test'] * test_areas
    numbers = [*range(1, train_areas + 1), *range(1, test_areas + 1)]
    with tqdm(
        total=len(splits) * patches_per_area, desc='Miniature M3M-CR', disable=not progress
    ) as bar:
        for split, number in zip(splits, numbers, strict=True):
            season, zone = seasons[(number - 1) % len(seasons)], zones[(number - 1) % len(zones)]
            _write_area(root / split, seed, split, number, season, zone, patches_per_area, bar)
    return root


def write_file_list(path: str | Path, folder: str | Path) -> Path:
    """List the scenes of a split in the authors' five-column format.

    Args:
        path: CSV file to write.
        folder: folder of the split.

    Returns:
        *path*.
    """
    path, folder = Path(path), Path(folder)
    clear = LAYERS['image_clear'].folder
    rows = []
    for file in sorted(folder.glob(f'{clear}_*/*/*.tif')):
        relative = file.relative_to(folder).as_posix()
        layers = (LAYERS[key] for key in LIST_COLUMNS)
        row = [relative.replace(clear, layer.folder) for layer in layers]
        suffixes = (LAYERS[key].suffix for key in LIST_COLUMNS)
        rows.append([str(Path(p).with_suffix(s)) for p, s in zip(row, suffixes, strict=True)])
    temporary = path.with_name(f'.{os.getpid()}.{path.name}')
    with temporary.open('w', newline='') as lines:
        csv.writer(lines).writerows(rows)
    temporary.replace(path)
    return path


def _write_area(
    folder: Path,
    seed: int,
    split: str,
    number: int,
    season: str,
    zone: int,
    patches: int,
    bar: tqdm,
) -> None:
    """Write all patches of an area."""
    rng = np.random.default_rng((seed, len(split), number))
    across = math.ceil(math.sqrt(patches))
    down = math.ceil(patches / across)
    codes = land_cover(rng, (down * COARSE_PX, across * COARSE_PX))
    rows = ((np.arange(down * OPTICAL_PX) + 0.5) * 0.3).astype(int)
    cols = ((np.arange(across * OPTICAL_PX) + 0.5) * 0.3).astype(int)
    clear = reflectance(rng, codes[rows][:, cols])
    radar = backscatter_db(rng, codes)
    clouded = add_clouds(rng, clear)

    crs = CRS.from_epsg(zone)
    # the grids do not coincide: corners of the real data lie up to 2 m apart
    shift_x, shift_y = (int(shift) for shift in rng.integers(0, 3, 2))
    left = 300_000 + AREA_SPACING_M * (number % 12)
    top = (2_000_000 if zone < 32700 else 8_000_000) + AREA_SPACING_M * (number // 12)
    for patch in range(patches):
        row, col = divmod(patch, across)
        x, y = left + PATCH_M * col, top - PATCH_M * row
        fine = np.s_[
            ...,
            OPTICAL_PX * row : OPTICAL_PX * (row + 1),
            OPTICAL_PX * col : OPTICAL_PX * (col + 1),
        ]
        coarse = np.s_[
            ..., COARSE_PX * row : COARSE_PX * (row + 1), COARSE_PX * col : COARSE_PX * (col + 1)
        ]
        optical = {
            'crs': crs,
            'transform': Affine(OPTICAL_M, 0, x - shift_x, 0, -OPTICAL_M, y + shift_y),
            'nodata': 0,
        }
        ten_metres = {'crs': crs, 'transform': Affine(COARSE_M, 0, x, 0, -COARSE_M, y)}
        area = f'{season}_{number}'
        paths = {key: _path(folder, key, season, area, patch + 1) for key in LAYERS}
        write_geotiff(paths['image'], _stored(clouded.image[fine]), **optical)
        write_geotiff(paths['image_clear'], _stored(clear[fine]), **optical)
        write_geotiff(paths['image_sar'], radar[coarse], **ten_metres)
        write_geotiff(paths['mask'], codes[coarse][None], **ten_metres)
        write_array(paths['mask_cloud'], clouded.mask[fine])
        bar.update()


def _path(folder: Path, key: str, season: str, area: str, patch: int) -> Path:
    layer = LAYERS[key]
    kind = layer.folder
    stem = f'{kind}_{area}_p_{patch}'
    return folder / f'{kind}_{season}' / f'{kind}_{area}' / f'{stem}{layer.suffix}'


def _stored(image: np.ndarray) -> np.ndarray:
    """Reflectance as the stored number; never the nodata value 0."""
    return np.clip(np.rint(image * SCALE), 1, 65535).astype(np.uint16)
