"""Miniature WHU-OPT-SAR: a procedural landscape in the real data set's layout and encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._progress import progress_bar
from ..datasets.whuoptsar.layout import FOLDERS, NOMINAL_CRS, official_division
from ..datasets.whuoptsar.sheets import sheet_bounds
from ..rasters import Grid, write_geotiff
from .covers import COVERS, INDEX
from .landscape import draw_landscape
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

#: Land cover: its share (cropland fills the rest), and its code. What has none is "others".
LAND: Mapping[str, tuple[float, int]] = {
    'cropland': (0, 10),
    'city': (0.08, 20),
    'village': (0.07, 30),
    'water': (0.10, 40),
    'forest': (0.30, 50),
    'road': (0, 60),
    'bare': (0.04, 70),
    'grassland': (0.03, 70),
    'unmapped': (0.003, 0),
}
SHARES = {name: share for name, (share, _) in LAND.items()}
CODES = np.array([LAND.get(cover.name, (0, 0))[1] for cover in COVERS], np.uint8)


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

    Example:
        >>> root = write_miniature_whuoptsar(folder, height_px=96, width_px=96, progress=False)
        >>> sorted(path.name for path in root.iterdir() if path.is_dir())
        ['lbl', 'optical', 'sar']
    """
    root = Path(root)
    if seed < 0 or min(height_px, width_px) < 2:
        raise ValueError(
            f'{seed=}, {height_px=}, {width_px=}: expected no seed below 0, and 2 pixels or more.'
        )
    for part, sheets in (('train', train_sheets), ('test', test_sheets)):
        strangers = sorted(set(sheets) - set(official_division()[part]))
        if strangers:
            raise ValueError(f'{part}_sheets: {strangers} are not in that part of the division.')
    for name in progress_bar(
        [*train_sheets, *test_sheets], 'Miniature WHU-OPT-SAR', unit='sheet', disable=not progress
    ):
        rng = np.random.default_rng((seed, *name.encode()))
        land = draw_landscape(rng, (height_px, width_px), PIXEL_M, SHARES)
        # here roads are a class, and look like it
        land = land._replace(cover=np.where(land.road, np.uint8(INDEX['road']), land.cover))
        layers = {
            'image': _stored(reflectance(rng, land, PIXEL_M), REFLECTANCE_RANGE),
            'image_sar': _stored(backscatter_db(rng, land, PIXEL_M)[:1], BACKSCATTER_RANGE_DB),
            'mask': CODES[land.cover][None, :, : width_px - (name in NARROW_SHEETS)],
        }
        for key, bands in layers.items():
            place = NOMINAL_CRS, sheet_bounds(name), bands.shape[1:]
            grid = Grid.from_bounds(*place) if name in georeferenced else None
            write_geotiff(root / FOLDERS[key][0] / f'{name}.tif', bands, grid)
    return root


def _stored(values: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Values as 8-bit numbers, which are never the nodata value 0."""
    stored: NDArray[np.uint8] = np.rint(np.interp(values, limits, (1, 255))).astype(np.uint8)
    return stored
