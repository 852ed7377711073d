"""A tree in the layout of M3M-CR, of any size, for benchmarks: a few patches, hard-linked."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

#: UTM zones of the generated scenes, north and south, the first and the last among them.
ZONES = (32601, 32646, 32733, 32760)

#: Scenes of an area, as many as there are in M3M-CR.
SCENES_PER_AREA = 80

#: Kind: bands, height and width in pixels, data type, meters per pixel, further profile. The
#: strips and the interleaving are those of the real files.
KINDS = {
    'planet_cloudy': (4, 300, 'uint16', 3, {'nodata': 0, 'interleave': 'pixel', 'blockysize': 3}),
    'planet_cloudfree': (
        4,
        300,
        'uint16',
        3,
        {'nodata': 0, 'interleave': 'pixel', 'blockysize': 3},
    ),
    'S1': (2, 90, 'float64', 10, {'interleave': 'pixel', 'blockysize': 5}),
    'landcover': (1, 90, 'uint8', 10, {}),
}


def write_tree(root: Path, scenes: int, split: str = 'train', first: int = 0) -> None:
    """Write scenes whose files are hard links to one patch per UTM zone.

    Args:
        root: folder of the data set.
        scenes: number of scenes.
        split: folder of the split.
        first: number of the first scene; those before it are there already.
    """
    patches = root.parent / f'{root.name}-patches'
    for zone in ZONES:
        if not (patches / f'{zone}').is_dir():
            _write_patch(patches / f'{zone}', zone)
    for number in range(first, scenes):
        area, patch = divmod(number, SCENES_PER_AREA)
        zone = ZONES[area % len(ZONES)]
        name = f'{("fall", "winter", "spring", "summer")[area % 4]}_{area + 1}'
        for kind in (*KINDS, 'cloudmask'):
            suffix = 'npy' if kind == 'cloudmask' else 'tif'
            folder = root / split / f'{kind}_{name.split("_")[0]}' / f'{kind}_{name}'
            if patch == 0 or number == first:
                folder.mkdir(parents=True, exist_ok=True)
            os.link(
                patches / f'{zone}/{kind}.{suffix}', folder / f'{kind}_{name}_p_{patch}.{suffix}'
            )


def _write_patch(folder: Path, zone: int) -> None:
    """One patch with made-up values of the right type, size and range."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(zone)
    codes = np.array([10, 20, 30, 40, 50, 60, 80, 90], np.uint8)
    for kind, (bands, size, dtype, meters, profile) in KINDS.items():
        if kind == 'S1':
            values = rng.uniform(-30, 0, (bands, size, size))
        elif kind == 'landcover':
            values = rng.choice(codes, (bands, size, size))
        else:
            values = rng.integers(100, 9000, (bands, size, size))
        with rasterio.open(
            folder / f'{kind}.tif',
            'w',
            driver='GTiff',
            count=bands,
            height=size,
            width=size,
            dtype=dtype,
            crs=f'EPSG:{zone}',
            transform=from_origin(500000, 4000000, meters, meters),
            **profile,
        ) as target:
            target.write(values.astype(dtype))
    np.save(folder / 'cloudmask.npy', rng.random((300, 300)) < 0.4)
