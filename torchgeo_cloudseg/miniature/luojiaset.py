"""Miniature LuojiaSET-OSFCR: a procedural landscape in the real data set's layout and encoding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets.luojiaset import COVERS
from ..rasters import Grid, write_geotiff
from .atmosphere import add_clouds
from .covers import COVERS as LAND_COVERS
from .landscape import draw_landscape
from .sensors import backscatter_db, reflectance
from .spectrum import sentinel_2

#: Size of a patch, and of its pixels in meters.
PATCH_PX, PIXEL_M = 256, 10.0

#: Upper left corner of the first patch, and its CRS; how far the SAR grid lies off.
CRS, LEFT_M, TOP_M = 'EPSG:32755', 404280.0, 5290490.0
SAR_SHIFT_M = (3.688, -4.128)

#: The CRS of labels, as their files state it: the same, by another name.
LABEL_CRS = (
    'PROJCS["unnamed",GEOGCS["unknown",DATUM["unnamed",SPHEROID["unnamed",6378137,'
    '298.257024882273]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],'
    'PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],'
    'PARAMETER["central_meridian",147],PARAMETER["scale_factor",0.9996],'
    'PARAMETER["false_easting",500000],PARAMETER["false_northing",10000000],UNIT["metre",1],'
    'AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
)

#: Land cover: its share (cropland fills the rest), and its code.
LAND: Mapping[str, tuple[float, int]] = {
    'cropland': (0, 0),
    'forest': (0.3, 1),
    'grassland': (0.1, 2),
    'city': (0.1, 3),
    'bare': (0.1, 4),
    'water': (0.1, 5),
    'village': (0.1, 6),
}
CODES = np.array([LAND.get(cover.name, (0, 0))[1] for cover in LAND_COVERS], np.uint8)


def write_miniature_luojiaset(
    root: str | Path, *, seed: int = 0, pairs: int = 6, copies: bool = False
) -> Path:
    """Write miniature LuojiaSET-OSFCR: real GeoTIFFs in the real layout.

    Patches come in pairs that share an edge; the pairs lie apart.

    Args:
        root: folder to write to.
        seed: seed of the landscapes, 0 or greater.
        pairs: pairs of patches.
        copies: write copies of the cloud-free images in place of the cloudy ones, as the public
            sample has them.

    Returns:
        *root*.

    Example:
        >>> root = write_miniature_luojiaset(folder, pairs=1)
        >>> len(list(root.glob('*/s2_cloudy/*.tif')))
        2
    """
    root = Path(root)
    shares = {name: share for name, (share, _) in LAND.items()}
    for pair in range(pairs):
        rng = np.random.default_rng((seed, pair))
        land = draw_landscape(rng, (PATCH_PX, 2 * PATCH_PX), PIXEL_M, shares)
        clear = reflectance(rng, land, PIXEL_M)
        cloudy, clouds = add_clouds(rng, clear)
        images: dict[str, NDArray[Any]] = {
            's2': _stored(clear),
            's2_cloudy': _stored(clear if copies else cloudy),
            's1': backscatter_db(rng, land, PIXEL_M).astype(np.float32),
            'land_cover_maps': CODES[land.cover][None],
            'cloud_detection_results': clouds[None].astype(np.float32),
        }
        for side in range(2):
            number, half = 2 * pair + side, slice(side * PATCH_PX, (side + 1) * PATCH_PX)
            cover = COVERS[min(4, int(5 * clouds[:, half].mean()))]
            left = LEFT_M + (pair * 5 + side) * PATCH_PX * PIXEL_M
            for folder, pixels in images.items():
                kind = {'s1': 's1', 'cloud_detection_results': 's2_cloudy'}.get(folder, 's2')
                if folder == 's2_cloudy' and number % 2:  # both names occur
                    kind = 's2_cloudy'
                corner = left, TOP_M
                if folder == 's1':
                    corner = left + SAR_SHIFT_M[0], TOP_M + SAR_SHIFT_M[1]
                crs = LABEL_CRS if folder == 'land_cover_maps' else CRS
                size = (PATCH_PX, PATCH_PX)
                grid = Grid.north_up(crs, corner, (PIXEL_M, PIXEL_M), size)
                file = root / cover / folder / f'ROIs_01_{kind}_p{number}.tif'
                write_geotiff(file, np.ascontiguousarray(pixels[..., half]), grid)
    return root


def _stored(image: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Bands of Sentinel-2 as newer processing stores them, with B10 almost dark."""
    bands = sentinel_2(image)
    bands = np.insert(bands, 10, 0.0009, axis=0)
    return np.rint(bands * 10_000 + 1000).astype(np.uint16)
