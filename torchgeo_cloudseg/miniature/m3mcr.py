"""Miniature M3M-CR: a procedural landscape in the real data set's layout and encoding."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .._files import replacing
from ..datasets.m3mcr.layout import LAYERS, LIST_COLUMNS, SEASONS
from ..rasters import Grid, write_array, write_geotiff
from .atmosphere import add_clouds
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

#: Reflectance of 1 as a stored number.
SCALE = 10_000

#: Land cover by share; cropland fills the rest.
SHARES: Mapping[str, float] = {
    'forest': 0.20,
    'grassland': 0.11,
    'shrubland': 0.06,
    'city': 0.07,
    'village': 0.05,
    'bare': 0.10,
    'water': 0.08,
    'wetland': 0.012,
}

#: Covers of which an area has at most one, and their share there.
RARE_COVERS = ('mangroves', 'snow', 'moss', 'unmapped')
RARE_SHARE = 0.015

#: Codes of ESA WorldCover. Roads are narrower than what it maps: they bear their surroundings.
CODES: Mapping[str, int] = {
    'cropland': 40,
    'forest': 10,
    'grassland': 30,
    'shrubland': 20,
    'city': 50,
    'village': 50,
    'bare': 60,
    'water': 80,
    'wetland': 90,
    'mangroves': 95,
    'snow': 70,
    'moss': 100,
    'unmapped': 0,
}


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
        progress: show a progress bar.

    Returns:
        *root*.

    Raises:
        ValueError: if a number is too small, or there is no such zone or season.
    """
    _check(seed, train_areas, test_areas, patches_per_area, zones, seasons)
    root = Path(root)
    areas = [
        _Area(split, number, patches_per_area, zones[i % len(zones)], seasons[i % len(seasons)])
        for split, count in (('train', train_areas), ('test', test_areas))
        for i, number in enumerate(range(1, count + 1))
    ]
    total = len(areas) * patches_per_area
    with tqdm(total=total, desc='Miniature M3M-CR', unit='patch', disable=not progress) as bar:
        for area in areas:
            for _ in _write_area(root / area.split, seed, area):
                bar.update()
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


@dataclass(frozen=True)
class _Area:
    """An area: a season of a place, cut into patches."""

    split: str
    number: int
    patches: int
    zone: int
    season: str

    @property
    def across(self) -> int:
        """Patches in a row."""
        return math.ceil(math.sqrt(self.patches))

    @property
    def down(self) -> int:
        """Rows of patches."""
        return math.ceil(self.patches / self.across)

    @property
    def corner_m(self) -> tuple[int, int]:
        """Easting and northing of the upper left corner, a multiple of 10 m."""
        place = 2 * (self.number - 1) + (self.split == 'test')
        row, col = divmod(place, AREAS_PER_ROW)
        # an odd multiple of 10 m: areas differ in how the grids of 3 m and 10 m meet
        pitch = self.across * PATCH_M + GAP_M + COARSE_M
        top = NORTHERN_TOP_M if self.zone in NORTHERN_ZONES else SOUTHERN_TOP_M
        return LEFT_M + col * pitch, top - row * pitch - COARSE_M * col

    def path(self, folder: Path, key: str, patch: int) -> Path:
        """Where the layout puts a layer of a patch."""
        layer = LAYERS[key]
        area = f'{layer.folder}_{self.season}_{self.number}'
        name = f'{area}_p_{patch}{layer.suffix}'
        return folder / f'{layer.folder}_{self.season}' / area / name


def _write_area(folder: Path, seed: int, area: _Area) -> Iterator[int]:
    """Write the patches of an area one by one."""
    source = np.random.SeedSequence((seed, ('train', 'test').index(area.split), area.number))
    land_rng, optical_rng, radar_rng, cloud_rng = map(np.random.default_rng, source.spawn(4))
    rare = RARE_COVERS[int(land_rng.integers(len(RARE_COVERS)))]
    shares = {**SHARES, rare: RARE_SHARE * int(land_rng.integers(2))}
    shape = (area.down * OPTICAL_PX, area.across * OPTICAL_PX)
    land = draw_landscape(land_rng, shape, OPTICAL_M, shares)
    coarse = land.sampled(_centers(area.down), _centers(area.across), COARSE_M)

    clear = reflectance(optical_rng, land)
    clouded = add_clouds(cloud_rng, clear, OPTICAL_PX)
    radar = backscatter_db(radar_rng, coarse)
    codes = np.array([CODES.get(cover.name, 0) for cover in COVERS], np.uint8)[coarse.cover]

    crs = f'EPSG:{area.zone}'
    left, top = area.corner_m
    for index in range(area.patches):
        row, col = divmod(index, area.across)
        x, y = left + PATCH_M * col, top - PATCH_M * row
        fine, ten = (
            np.s_[..., px * row : px * (row + 1), px * col : px * (col + 1)]
            for px in (OPTICAL_PX, COARSE_PX)
        )
        # each grid starts at a multiple of its own pixel, so corners lie up to 2 m apart
        corner = x - x % OPTICAL_M, y + -y % OPTICAL_M
        grid = Grid.north_up(crs, corner, (OPTICAL_M, OPTICAL_M), (OPTICAL_PX, OPTICAL_PX))
        paths = {key: area.path(folder, key, index + 1) for key in LAYERS}
        write_geotiff(paths['image'], _stored(clouded.image[fine]), grid, 0)
        write_geotiff(paths['image_clear'], _stored(clear[fine]), grid, 0)
        grid = Grid.north_up(crs, (x, y), (COARSE_M, COARSE_M), (COARSE_PX, COARSE_PX))
        write_geotiff(paths['image_sar'], radar[ten], grid)
        write_geotiff(paths['mask'], codes[ten][None], grid)
        write_array(paths['mask_cloud'], clouded.mask[fine])
        yield index


def _centers(patches: int) -> NDArray[np.intp]:
    """For each 10 m pixel the 3 m pixel in which its center lies."""
    return (2 * np.arange(patches * COARSE_PX) + 1) * OPTICAL_PX // (2 * COARSE_PX)


def _stored(image: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Reflectance as the stored number, which is never the nodata value 0."""
    return np.maximum(np.rint(image * SCALE), 1).astype(np.uint16)


def _check(
    seed: int,
    train_areas: int,
    test_areas: int,
    patches_per_area: int,
    zones: Sequence[int],
    seasons: Sequence[str],
) -> None:
    """Refuse what cannot be written."""
    least = {
        'seed': (seed, 0),
        'train_areas': (train_areas, 0),
        'test_areas': (test_areas, 0),
        'patches_per_area': (patches_per_area, 1),
    }
    for name, (value, minimum) in least.items():
        if value < minimum:
            raise ValueError(f'{name}={value}: expected {minimum} or greater.')
    if not zones or any(
        zone not in NORTHERN_ZONES and zone not in SOUTHERN_ZONES for zone in zones
    ):
        raise ValueError(
            f'zones={tuple(zones)}: expected EPSG codes of UTM zones on WGS 84, '
            '32601 to 32660 (north) or 32701 to 32760 (south).'
        )
    if not seasons or any(season not in SEASONS for season in seasons):
        raise ValueError(f'seasons={tuple(seasons)}: expected some of {tuple(SEASONS)}.')
