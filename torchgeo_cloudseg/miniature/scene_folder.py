"""A folder of images as one downloads them: Sentinel-2, Sentinel-1 and CORINE in miniature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray

from .._progress import progress_bar
from ..rasters import Grid, write_geotiff
from .atmosphere import add_clouds
from .covers import COVERS, INDEX
from .fields import Array
from .landscape import Landscape, draw_landscape
from .sensors import backscatter_db, reflectance

#: The landscape lies across the border of two UTM zones, on the grid of European data sets.
LABEL_CRS = 'EPSG:3035'
CENTER = (4_463_900.0, 2_984_900.0)
ZONES = ('EPSG:32632', 'EPSG:32633')
TILES = ('T32UQA', 'T33UUR')

#: Sides of pixels in meters.
PIXEL_M = 10
LABEL_PIXEL_M = 20

#: Ground between scenes, and around them, in pixels.
GAP_PX = 16

#: The SAR image begins so many meters left of and above the scene, and is larger by as many pixels.
SAR_SHIFT_M = 46
SAR_MARGIN_PX = 10

#: Every so many scenes, one is cloudy.
CLOUDY_EVERY = 3

#: Land cover: its share (cropland fills the rest), its CORINE code, and that of the scene
#: classification of Sentinel-2.
LAND: Mapping[str, tuple[float, int, int]] = {
    'cropland': (0, 211, 4),
    'forest': (0.30, 312, 4),
    'grassland': (0.12, 231, 4),
    'city': (0.06, 112, 5),
    'village': (0.06, 112, 5),
    'water': (0.12, 512, 6),
    'bare': (0.04, 333, 5),
    'unmapped': (0.003, 999, 7),
}
SHARES = {name: share for name, (share, _, _) in LAND.items()}
CODES, SCENE_CLASSES = (
    np.array([LAND.get(cover.name, (0, 999, 7))[i] for cover in COVERS], np.int16) for i in (1, 2)
)

#: Label of ground that nobody has mapped, and classes of the scene classification that hide it.
NO_LABEL = -9999
CLOUD, SHADOW = 9, 3

#: Classes of the miniature by name, as arguments of a data set state them.
CLASSES: Mapping[str, tuple[int, ...]] = {
    'built-up': (112,),
    'cropland': (211,),
    'grassland': (231,),
    'forest': (312,),
    'bare': (333,),
    'water': (512,),
}


def write_miniature_folder(
    root: str | Path,
    *,
    seed: int = 0,
    columns: int = 6,
    rows: int = 4,
    side_px: int = 96,
    progress: bool = True,
) -> Path:
    """Write a folder of images as one downloads them: real GeoTIFFs, one file per band.

    Scenes lie in two UTM zones. In ``sentinel2`` are the bands (B11 at 20 m) and the scene
    classification (SCL, 20 m) of each; every third is cloudy. In ``sentinel1`` are VV and VH in
    dB, taken a day later, on a grid of their own that reaches beyond the scene. ``corine.tif`` is
    one raster of labels for all of them, in EPSG:3035.

    Args:
        root: folder to write to.
        seed: seed of the landscape, 0 or greater.
        columns: scenes from west to east, half of them in each zone.
        rows: scenes from north to south.
        side_px: height and width of a scene in pixels of 10 m, an even number.
        progress: show a progress bar.

    Returns:
        *root*.

    Raises:
        ValueError: if a number is too small, or the side is odd.

    Example:
        >>> root = write_miniature_folder(folder, columns=2, rows=1, side_px=32, progress=False)
        >>> sorted(path.name for path in root.iterdir())
        ['corine.tif', 'sentinel1', 'sentinel2']
    """
    if seed < 0 or min(columns, rows) < 1 or side_px < 16 or side_px % 2:
        raise ValueError(
            f'{seed=}, {columns=}, {rows=}, {side_px=}: expected no seed below 0, at least one row '
            'and column, and an even side of 16 pixels or more.'
        )
    root = Path(root)
    rng = np.random.default_rng(seed)
    pitch = side_px + GAP_PX
    shape = pitch * rows + 2 * GAP_PX, pitch * columns + 2 * GAP_PX
    land = draw_landscape(rng, shape, PIXEL_M, SHARES)
    corner = CENTER[0] - shape[1] * PIXEL_M / 2, CENTER[1] + shape[0] * PIXEL_M / 2
    _write_labels(root / 'corine.tif', land, corner)
    places = [(row, col) for row in range(rows) for col in range(columns)]
    for number, (row, col) in enumerate(
        progress_bar(places, 'Miniature folder', unit='scene', disable=not progress)
    ):
        zone = int(col >= columns / 2)
        center = ((i + 0.5) * pitch * PIXEL_M + GAP_PX * PIXEL_M for i in (col, row))
        across, down = center
        to_zone = pyproj.Transformer.from_crs(LABEL_CRS, ZONES[zone], always_xy=True)
        x, y = to_zone.transform(corner[0] + across, corner[1] - down)
        half = side_px // 2 * PIXEL_M
        left, top = round((x - half) / 20) * 20.0, round((y + half) / 20) * 20.0
        grid = Grid.north_up(ZONES[zone], (left, top), (PIXEL_M, PIXEL_M), (side_px, side_px))
        own = np.random.default_rng((seed, number))
        day = 10 + number % 18
        name = f'{TILES[zone]}_202107{day:02}_{number:03}'
        cloudy = number % CLOUDY_EVERY == 0
        _write_optical(root / 'sentinel2', name, _on_grid(land, corner, grid), grid, own, cloudy)
        wide = side_px + SAR_MARGIN_PX
        place = left - SAR_SHIFT_M, top + SAR_SHIFT_M
        around = Grid.north_up(ZONES[zone], place, (PIXEL_M, PIXEL_M), (wide, wide))
        radar = backscatter_db(own, _on_grid(land, corner, around), PIXEL_M).astype(np.float32)
        radar[:, :2, :2] = np.nan
        for band, values in zip(('VV', 'VH'), radar, strict=True):
            path = root / 'sentinel1' / f'S1A_IW_202107{day + 1:02}_{number:03}_{band}.tif'
            write_geotiff(path, values[None], around)
    return root


def _write_labels(path: Path, land: Landscape, corner: tuple[float, float]) -> None:
    step = LABEL_PIXEL_M // PIXEL_M
    codes = CODES[land.cover[step // 2 :: step, step // 2 :: step]]
    codes[:2] = NO_LABEL
    pixel = float(LABEL_PIXEL_M), float(LABEL_PIXEL_M)
    write_geotiff(path, codes[None], Grid.north_up(LABEL_CRS, corner, pixel, codes.shape))


def _on_grid(land: Landscape, corner: tuple[float, float], grid: Grid) -> Landscape:
    """The land on the grid of a scene, by nearest neighbor."""
    left, _, _, top = grid.bounds
    cols, rows = (np.arange(side) + 0.5 for side in (grid.width, grid.height))
    xs, ys = np.meshgrid(left + cols * PIXEL_M, top - rows * PIXEL_M)
    to_land = pyproj.Transformer.from_crs(grid.crs, LABEL_CRS, always_xy=True)
    east, north = to_land.transform(xs, ys)
    height, width = land.cover.shape
    col = np.clip(np.floor((east - corner[0]) / PIXEL_M).astype(int), 0, width - 1)
    row = np.clip(np.floor((corner[1] - north) / PIXEL_M).astype(int), 0, height - 1)
    return Landscape._make(layer[row, col] for layer in land)


def _write_optical(
    folder: Path,
    name: str,
    land: Landscape,
    grid: Grid,
    rng: np.random.Generator,
    cloudy: bool,
) -> None:
    image = reflectance(rng, land, PIXEL_M)
    classes = SCENE_CLASSES[land.cover].astype(np.uint8)
    image = np.concatenate([image, _shortwave(image, land)])
    if cloudy:
        image, clouds = add_clouds(rng, image)
        classes[clouds] = CLOUD
    stored = np.rint(np.clip(image, 0, 1) * 10000).astype(np.uint16)
    for band, values in zip(('B02', 'B03', 'B04', 'B08'), stored, strict=False):
        write_geotiff(folder / f'{name}_B02.tif'.replace('B02', band), values[None], grid, nodata=0)
    size = grid.height // 2, grid.width // 2
    coarse = Grid.from_bounds(grid.crs, grid.bounds, size)
    mean = stored[4].reshape(size[0], 2, size[1], 2).mean(axis=(1, 3))
    write_geotiff(folder / f'{name}_B11.tif', mean.astype(np.uint16)[None], coarse, nodata=0)
    write_geotiff(folder / f'{name}_SCL.tif', classes[None, ::2, ::2], coarse)


def _shortwave(image: Array, land: Landscape) -> NDArray[np.float64]:
    """Reflectance at 1.6 micrometers: moist leaves and water are dark."""
    dry = np.where(land.cover == INDEX['water'], 0.2, 0.75)
    band: NDArray[np.float64] = dry * (0.6 * image[2] + 0.4 * image[3])
    return band[None]
