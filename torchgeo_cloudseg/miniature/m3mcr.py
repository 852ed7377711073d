"""Miniature M3M-CR: a procedural landscape in the real data set's layout and encoding."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import replacing
from .._progress import progress_bar
from ..datasets.m3mcr.layout import LAYERS, LIST_COLUMNS, SEASONS
from ..rasters import Grid, write_array, write_geotiff
from .atmosphere import SKIES, add_clouds
from .covers import COVERS
from .landscape import draw_landscape
from .sensors import backscatter_db, reflectance

#: Size of a patch on both grids, and of their pixels in meters.
OPTICAL_PX, COARSE_PX = 300, 90
OPTICAL_M, COARSE_M = 3, 10
PATCH_M = 900

#: Distance in meters from an area to the next one, and areas in a row.
GAP_M = 9_000
AREAS_PER_ROW = 20

#: UTM zones by EPSG code, with the northing of the first row of areas.
NORTHERN_ZONES, NORTHERN_TOP_M = range(32601, 32661), 5_400_000
SOUTHERN_ZONES, SOUTHERN_TOP_M = range(32701, 32761), 9_000_000
LEFT_M = 300_000

#: Land cover: its share (cropland fills the rest), and its code in ESA WorldCover. Roads are
#: narrower than what that maps: they bear their surroundings.
LAND: Mapping[str, tuple[float, int]] = {
    'cropland': (0, 40),
    'forest': (0.20, 10),
    'grassland': (0.11, 30),
    'shrubland': (0.06, 20),
    'city': (0.07, 50),
    'village': (0.05, 50),
    'bare': (0.10, 60),
    'water': (0.08, 80),
    'wetland': (0.012, 90),
    'mangroves': (0.002, 95),
    'snow': (0.002, 70),
    'moss': (0.002, 100),
    'unmapped': (0.002, 0),
}
SHARES = {name: share for name, (share, _) in LAND.items()}
CODES = np.array([LAND.get(cover.name, (0, 0))[1] for cover in COVERS], np.uint8)


def write_miniature_m3mcr(
    root: str | Path,
    *,
    seed: int = 0,
    train_areas: int = 8,
    test_areas: int = 3,
    patches_per_area: int = 4,
    zones: Sequence[int] = (32646,),
    seasons: Sequence[str] = ('fall', 'spring', 'summer', 'winter'),
    test_skies: Sequence[str] = ('usual',),
    progress: bool = True,
) -> Path:
    """Write miniature M3M-CR: real GeoTIFFs and ``.npy`` files in the real layout.

    Patches of an area lie side by side, row by row, in one landscape under one cloudy sky. An
    area depends on the seed, its split and its number alone, not on how many areas there are.

    Args:
        root: folder to write to.
        seed: seed of the landscapes, 0 or greater.
        train_areas: areas in the folder ``train``; validation takes some of them.
        test_areas: areas in the folder ``test``.
        patches_per_area: patches of each area.
        zones: EPSG codes of UTM zones (WGS 84, north or south), taken in turn by the areas.
        seasons: seasons, taken in turn by the areas.
        test_skies: kinds of clouds, taken in turn by the test areas: 'usual', the only kind over
            training areas, 'fair', 'veil', 'overcast' or 'cumulus'. The land under them is the same
            with the same seed, as on another date.
        progress: show a progress bar.

    Returns:
        *root*.

    Raises:
        ValueError: if a number is too small, or there is no such zone, season or sky.

    Example:
        >>> root = write_miniature_m3mcr(
        ...     folder, train_areas=1, test_areas=0, patches_per_area=1, progress=False
        ... )
        >>> [path.name for path in root.glob('train/S1_*/*/*')]
        ['S1_fall_1_p_1.tif']
    """
    if min(seed, train_areas, test_areas) < 0 or patches_per_area < 1:
        raise ValueError(
            f'{seed=}, {train_areas=}, {test_areas=}, {patches_per_area=}: expected at least one '
            'patch, and no number below 0.'
        )
    if not zones or set(zones) - {*NORTHERN_ZONES, *SOUTHERN_ZONES}:
        raise ValueError(
            f'zones={tuple(zones)}: expected EPSG codes of UTM zones on WGS 84, '
            '32601 to 32660 (north) or 32701 to 32760 (south).'
        )
    if not seasons or set(seasons) - set(SEASONS):
        raise ValueError(f'seasons={tuple(seasons)}: expected some of {tuple(SEASONS)}.')
    if not test_skies or set(test_skies) - set(SKIES):
        raise ValueError(f'test_skies={tuple(test_skies)}: expected some of {tuple(SKIES)}.')
    root = Path(root)
    areas = [('train', i) for i in range(train_areas)] + [('test', i) for i in range(test_areas)]
    for split, i in progress_bar(areas, 'Miniature M3M-CR', unit='area', disable=not progress):
        area = f'{seasons[i % len(seasons)]}_{i + 1}'
        place = 2 * i + (split == 'test')
        rng = np.random.default_rng((seed, place))
        zone = zones[i % len(zones)]
        sky = test_skies[i % len(test_skies)] if split == 'test' else 'usual'
        _write_area(root / split, rng, area, place, zone, patches_per_area, sky)
    return root


def write_file_list(path: str | Path, folder: str | Path) -> Path:
    """List the scenes of a split in the authors' five-column format.

    Args:
        path: CSV file to write.
        folder: folder of the split.

    Returns:
        *path*.

    Example:
        >>> path = write_file_list(folder / 'list_test.csv', root / 'test')
        >>> len(path.read_text().splitlines()[0].split(','))
        5
    """
    path, folder = Path(path), Path(folder)
    clear = LAYERS['image_clear']
    layers = [LAYERS[key] for key in LIST_COLUMNS]
    rows = []
    for file in sorted(folder.glob(f'{clear.folder}_*/*/*{clear.suffix}')):
        relative = file.relative_to(folder).with_suffix('').as_posix()
        rows.append(
            [relative.replace(clear.folder, layer.folder) + layer.suffix for layer in layers]
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open('w', newline='') as lines:
        csv.writer(lines).writerows(rows)
    return path


def _write_area(
    folder: Path,
    rng: np.random.Generator,
    area: str,
    place: int,
    zone: int,
    patches: int,
    sky: str,
) -> None:
    """Write the patches of an area, named after its season and number."""
    across = math.ceil(math.sqrt(patches))
    down = math.ceil(patches / across)
    land = draw_landscape(rng, (down * OPTICAL_PX, across * OPTICAL_PX), OPTICAL_M, SHARES)
    # for each 10 m pixel the 3 m pixel in which its center lies
    centers = (2 * np.arange(max(down, across) * COARSE_PX) + 1) * OPTICAL_PX // (2 * COARSE_PX)
    coarse = land.sampled(centers[: down * COARSE_PX], centers[: across * COARSE_PX])
    clear = reflectance(rng, land, OPTICAL_M)
    cloudy, clouds = add_clouds(rng, clear, sky)
    layers: dict[str, NDArray[Any]] = {
        'image': _stored(cloudy),
        'image_clear': _stored(clear),
        'image_sar': backscatter_db(rng, coarse, COARSE_M),
        'mask_cloud': clouds,
        'mask': CODES[coarse.cover][None],
    }
    row, col = divmod(place, AREAS_PER_ROW)
    # an odd multiple of 10 m: areas differ in how the grids of 3 m and 10 m meet
    pitch = across * PATCH_M + GAP_M + COARSE_M
    top = NORTHERN_TOP_M if zone in NORTHERN_ZONES else SOUTHERN_TOP_M
    left, top = LEFT_M + col * pitch, top - row * pitch - COARSE_M * col
    for (key, pixels), patch in product(layers.items(), range(patches)):
        layer = LAYERS[key]
        name = f'{layer.folder}_{area}'
        path = folder / name[: name.rindex('_')] / name / f'{name}_p_{patch + 1}{layer.suffix}'
        px = int(OPTICAL_PX * layer.ratio)
        rows, cols = ((px * index, px * (index + 1)) for index in divmod(patch, across))
        part = pixels[..., slice(*rows), slice(*cols)]
        if layer.suffix == '.npy':
            write_array(path, part)
        else:
            # each grid starts at a multiple of its own pixel, so corners lie up to 2 m apart
            side = PATCH_M // px
            corner = left - left % side, top + -top % side
            grid = Grid.north_up(f'EPSG:{zone}', corner, (side, side), pixels.shape[-2:])
            write_geotiff(path, part, grid.part(rows, cols), layer.nodata)


def _stored(image: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Reflectance in ten-thousandths, as it is stored; never the nodata value 0."""
    return np.maximum(np.rint(image * 10_000), 1).astype(np.uint16)
