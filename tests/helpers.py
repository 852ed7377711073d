"""What tests of several rooms do with files."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import rasterio
from lightning.pytorch import LightningModule, Trainer
from rasterio.transform import Affine
from torchgeo import samplers

CRS = 'EPSG:32646'
LEFT, TOP = 760299.0, 1898412.0

#: TorchGeo's own samplers; the names of before 0.10 are deprecated since.
RandomPatches = getattr(samplers, 'RandomPatchSampler', None) or samplers.RandomGeoSampler
GridPatches = getattr(samplers, 'GriddedPatchSampler', None) or samplers.GridGeoSampler


def hear_ctrl_c() -> None:
    """Let a process hear Ctrl-C, which one that a shell starts in the background ignores."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def read(path: Path) -> np.ndarray:
    """All bands of a raster (bands, height, width)."""
    with rasterio.open(path) as raster:
        pixels: np.ndarray = raster.read()
    return pixels


def write(path: Path, pixels: np.ndarray, **profile: object) -> Path:
    """Write a GeoTIFF, by default at 3 m in a UTM zone."""
    defaults = {
        'driver': 'GTiff',
        'count': pixels.shape[0],
        'height': pixels.shape[1],
        'width': pixels.shape[2],
        'dtype': pixels.dtype,
        'crs': CRS,
        'transform': Affine(3, 0, LEFT, 0, -3, TOP),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, 'w', **{**defaults, **profile}) as raster:
        raster.write(pixels)
    return path


def save_untrained(task: LightningModule, path: Path) -> Path:
    """Save a task with its initial weights, as Lightning saves trained ones."""
    trainer = Trainer(
        accelerator='cpu', logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path, weights_only=True)
    return path
