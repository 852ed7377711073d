"""Tiny scenes as real GeoTIFFs, and networks whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers import LEFT, TOP, write
from rasterio.transform import Affine
from scene_process import Brightness

from torchgeo_cloudseg.inference import SceneSpec


@dataclass(frozen=True)
class Scene:
    """Paths and stored pixels of a scene."""

    optical: Path
    sar: Path
    optical_pixels: np.ndarray
    sar_pixels: np.ndarray


@pytest.fixture
def write_raster() -> Callable[..., Path]:
    return write


@pytest.fixture
def make_scene(tmp_path: Path) -> Callable[..., Scene]:
    """Write a scene: optical at 3 m, SAR at 10 m on the grid of the labels."""

    def make(height: int = 300, width: int = 300, name: str = 'scene', **optical: object) -> Scene:
        rng = np.random.default_rng(0)
        # fields of 30 px, so that all classes occur
        fields = rng.uniform(500, 8500, (4, height // 30 + 1, width // 30 + 1)).mean(axis=0)
        fields = (fields - 4500) * 2 + 4500
        fields = np.repeat(np.repeat(fields, 30, 0), 30, 1)[:height, :width]
        pixels = fields + rng.uniform(-400, 400, (4, height, width))
        pixels = np.clip(pixels, 1, 10000).astype(np.uint16)
        sar = rng.uniform(-30, 0, (2, -(-height * 3 // 10), -(-width * 3 // 10)))
        folder = tmp_path / 'inputs'
        place = Affine(10, 0, LEFT + 1, 0, -10, TOP - 2)
        return Scene(
            write(folder / f'{name}_optical.tif', pixels, **{'nodata': 0, **optical}),
            write(folder / f'{name}_sar.tif', sar, transform=place),
            pixels,
            sar,
        )

    return make


@pytest.fixture
def spec() -> SceneSpec:
    return SceneSpec(
        class_names=('forest', 'water', 'town'),
        class_colors=((0, 100, 0), (0, 100, 200), (250, 0, 0)),
    )


@pytest.fixture
def network() -> Brightness:
    return Brightness()


@pytest.fixture
def wobbly() -> Brightness:
    return Brightness(wobble=0.3)
