"""Miniature WHU-OPT-SAR: a procedural landscape in the real data set's layout and encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..datasets.whuoptsar.layout import FOLDERS, NOMINAL_CRS, official_division
from ..datasets.whuoptsar.sheets import sheet_bounds
from ..rasters import Grid, write_geotiff
from .covers import COVERS, INDEX
from .fields import Array
from .landscape import Landscape, draw_landscape
from .sensors import backscatter_db, reflectance

#: Sheets of the official division that lie side by side, across the edge of a 1:1 000 000 sheet:
#: three of those for training touch no test sheet, so that some are left for validation.
TRAIN_SHEETS = (
    'NI49E024017',
    'NI49E024018',
    'NI49E024019',
    'NI49E024020',
    'NI49E023017',
    'NH49E002014',
)
TEST_SHEETS = ('NH49E001017', 'NH49E002016', 'NH49E001014')

#: Sheets whose files state where they lie. The others leave it to their name.
GEOREFERENCED_SHEETS = ('NI49E024018', 'NH49E001017')

#: Sheets whose label is a pixel narrower than their images, as in the real data set.
NARROW_SHEETS = ('NH49E002014',)

#: Side of a pixel in meters.
PIXEL_M = 5.0

#: Reflectance, and backscatter in dB, that are stored as 1 and as 255; 0 is no data.
REFLECTANCE_RANGE = (0.0, 0.45)
BACKSCATTER_RANGE_DB = (-28.0, 2.0)

#: Land cover by share; cropland fills the rest.
SHARES: Mapping[str, float] = {
    'forest': 0.30,
    'city': 0.08,
    'village': 0.07,
    'water': 0.10,
    'bare': 0.04,
    'grassland': 0.03,
    'unmapped': 0.003,
}

#: Stored codes. Whatever has no code of its own is "others".
CODES: Mapping[str, int] = {
    'cropland': 10,
    'city': 20,
    'village': 30,
    'water': 40,
    'forest': 50,
    'road': 60,
    'unmapped': 0,
}
OTHERS_CODE = 70


def write_miniature_whuoptsar(
    root: str | Path,
    *,
    seed: int = 0,
    train_sheets: Sequence[str] = TRAIN_SHEETS,
    test_sheets: Sequence[str] = TEST_SHEETS,
    height_px: int = 384,
    width_px: int = 576,
    georeferenced: Sequence[str] = GEOREFERENCED_SHEETS,
    progress: bool = True,
) -> Path:
    """Write miniature WHU-OPT-SAR: real GeoTIFFs in the real layout.

    Every sheet has a landscape of its own, which depends on the seed and the sheet's name alone.
    The default size has the real sheets' proportions, which make their pixels square.

    Args:
        root: folder to write to.
        seed: seed of the landscapes, 0 or greater.
        train_sheets: sheets of the official training part; validation takes some of them.
        test_sheets: sheets of the official test part.
        height_px: height of a sheet in pixels.
        width_px: width of a sheet in pixels.
        georeferenced: sheets whose files state their place (EPSG:4326).
        progress: show a progress bar.

    Returns:
        *root*.

    Raises:
        ValueError: if a sheet is not in the part of the official division that it is given for,
            or a number is too small.
    """
    root = Path(root)
    if seed < 0 or min(height_px, width_px) < 2:
        raise ValueError(
            f'seed={seed}, height_px={height_px}, width_px={width_px}: expected a seed of 0 or '
            'greater and at least 2 pixels a side.'
        )
    for part, sheets in (('train', train_sheets), ('test', test_sheets)):
        strangers = sorted(set(sheets) - set(official_division()[part]))
        if strangers:
            raise ValueError(f'{part}_sheets: {strangers} are not in that part of the division.')
    names = [*train_sheets, *test_sheets]
    for name in tqdm(names, 'Miniature WHU-OPT-SAR', unit='sheet', disable=not progress):
        _write_sheet(root, name, seed, (height_px, width_px), name in georeferenced)
    return root


def _write_sheet(
    root: Path, name: str, seed: int, shape: tuple[int, int], georeferenced: bool
) -> None:
    """Write the files of a sheet."""
    source = np.random.SeedSequence((seed, *name.encode()))
    land_rng, optical_rng, radar_rng = map(np.random.default_rng, source.spawn(3))
    land = draw_landscape(land_rng, shape, PIXEL_M, SHARES, variation=0.15)
    # paved in a landscape of its own brightness, as seen by both sensors
    paved = _with_roads(land)
    layers = {
        'image': _stored(reflectance(optical_rng, paved), REFLECTANCE_RANGE),
        'image_sar': _stored(backscatter_db(radar_rng, paved)[:1], BACKSCATTER_RANGE_DB),
        'mask': _codes(paved)[None],
    }
    if name in NARROW_SHEETS:
        layers['mask'] = layers['mask'][..., :-1]
    for key, bands in layers.items():
        size_px = bands.shape[1:]
        grid = Grid.from_bounds(NOMINAL_CRS, sheet_bounds(name), size_px) if georeferenced else None
        write_geotiff(root / FOLDERS[key][0] / f'{name}.tif', bands, grid)


def _with_roads(land: Landscape) -> Landscape:
    """The landscape with roads as a cover of their own: here they are a class."""
    cover = np.where(land.road, np.uint8(INDEX['road']), land.cover)
    return Landscape(
        land.pixel_m, cover, land.road, land.parcel, land.shade, land.along_m, land.across_m
    )


def _codes(land: Landscape) -> NDArray[np.uint8]:
    """Stored land cover."""
    table = np.array([CODES.get(cover.name, OTHERS_CODE) for cover in COVERS], np.uint8)
    codes: NDArray[np.uint8] = table[land.cover]
    return codes


def _stored(values: Array | NDArray[np.float64], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Values as 8-bit numbers, which are never the nodata value 0."""
    low, high = limits
    return np.rint(1 + 254 * np.clip((values - low) / (high - low), 0, 1)).astype(np.uint8)
