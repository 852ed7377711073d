"""What a map would see of a pair of products."""

from __future__ import annotations

from contextlib import closing

import numpy as np
from products_on_disk import LEVEL

from torchgeo_cloudseg.datasets.scene_spec import SceneSpec
from torchgeo_cloudseg.inference.scenes.pair_reader import ScenePairReader
from torchgeo_cloudseg.inference.scenes.pairing import ScenePair

SPEC = SceneSpec(
    ('a', 'b'), ((0, 0, 0), (1, 1, 1)), optical_names=('Blue', 'Green', 'Red', 'NIR'),
    sar_names=('VV', 'VH'), exact=('optical', 'sar'),
)  # fmt: skip

#: Reflectance of the bands of SPEC in a Sentinel-2 product, from 0 to 1.
EXPECTED = [LEVEL[band] / 10_000 for band in ('B02', 'B03', 'B04', 'B08')]


def read(pair: ScenePair, spec: SceneSpec = SPEC) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of each band over ground with data, and where there is data."""
    with closing(ScenePairReader(*pair[1:], spec)) as scene:
        scene.check_values(0.5)
        height, width = scene.optical.size
        optical, sar, valid = scene.read(0, height, width)
    inside = valid[0]
    return optical[0, :, inside].mean(1).numpy(), sar[0, :, inside].mean(1).numpy(), inside.numpy()
