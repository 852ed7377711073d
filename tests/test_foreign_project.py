"""A project of somebody else: TorchGeo's tasks, samplers and joins, and of ours only a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import GridPatches, RandomPatches, write
from lightning.pytorch import Trainer
from rasterio.transform import from_origin
from torch.utils.data import DataLoader
from torchgeo.datasets import GeoDataset, RasterDataset, random_bbox_assignment, stack_samples

from torchgeo_cloudseg.datasets import (
    M3MCR,
    OMBRIA,
    WHUOPTSAR,
    CloudSEN12,
    LuojiaSET,
    Modality,
    SceneFolder,
)
from torchgeo_cloudseg.miniature import (
    write_miniature_cloudsen12,
    write_miniature_folder,
    write_miniature_luojiaset,
    write_miniature_m3mcr,
    write_miniature_ombria,
    write_miniature_whuoptsar,
)

try:
    from torchgeo.tasks import SemanticSegmentation
except ModuleNotFoundError:  # TorchGeo before 0.9
    from torchgeo.trainers import SemanticSegmentationTask as SemanticSegmentation

pytestmark = [
    pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning'),
    pytest.mark.filterwarnings('ignore::DeprecationWarning'),
    pytest.mark.slow,
]

PAIR: dict[str, Any] = {'modalities': ['image', 'mask']}


def m3mcr(root: Path) -> GeoDataset:
    write_miniature_m3mcr(root, train_areas=3, test_areas=1, patches_per_area=1, progress=False)
    return M3MCR(root, label_res='optical', **PAIR)


def whuoptsar(root: Path) -> GeoDataset:
    write_miniature_whuoptsar(root, height_px=128, width_px=192, progress=False)
    return WHUOPTSAR(root, **PAIR)


def ombria(root: Path) -> GeoDataset:
    return OMBRIA(write_miniature_ombria(root, places_per_event=2), **PAIR)


def luojiaset(root: Path) -> GeoDataset:
    return LuojiaSET(write_miniature_luojiaset(root, pairs=3), **PAIR)


def cloudsen12(root: Path) -> GeoDataset:
    return CloudSEN12(write_miniature_cloudsen12(root, counts={'train': 2}), **PAIR)


DATASETS: dict[str, Callable[[Path], GeoDataset]] = {
    function.__name__: function for function in (m3mcr, whuoptsar, ombria, luojiaset, cloudsen12)
}


class Height(RasterDataset):
    """Some raster of theirs."""

    filename_glob = 'height.tif'


def write_height(root: Path, dataset: GeoDataset) -> Height:
    """A constant height over all of a data set, in its CRS."""
    west, south, east, north = dataset.index.total_bounds
    sides = [(end - start) / 40 for start, end in ((west, east), (south, north))]
    place = from_origin(west - sides[0], north + sides[1], *sides)
    write(
        root / 'height.tif', np.full((1, 42, 42), 777, np.float32), crs=dataset.crs, transform=place
    )
    return Height(root / 'height.tif')


@pytest.mark.parametrize('name', DATASETS)
def test_foreign_project(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    dataset: Any = DATASETS[name](tmp_path / 'data')
    assert 'type: GeoDataset' in str(dataset)
    channels, classes = len(dataset.bands), dataset.num_classes
    train, rest = random_bbox_assignment(
        dataset, [len(dataset) - 1, 1], torch.Generator().manual_seed(0)
    )
    assert len(train) + len(rest) == len(dataset)
    samplers = [RandomPatches(train, size=64, length=4), GridPatches(rest, size=64, stride=64)]
    loaders = [
        DataLoader(part, batch_size=2, sampler=sampler, collate_fn=stack_samples)
        for part, sampler in zip((train, rest), samplers, strict=True)
    ]
    batch = next(iter(loaders[0]))
    assert batch['image'].shape == (2, channels, 64, 64)
    assert batch['mask'].shape == (2, 64, 64)
    assert set(batch['mask'].unique().tolist()) <= {*range(classes), 255}
    task = SemanticSegmentation(
        model='unet',
        backbone='resnet18',
        in_channels=channels,
        num_classes=classes,
        ignore_index=255,
    )
    trainer = Trainer(
        max_epochs=1, accelerator='cpu', logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=1,
        limit_train_batches=1, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(task, *loaders)
    assert torch.isfinite(trainer.callback_metrics['train_loss'])

    height = write_height(tmp_path / 'height', dataset)
    for joined in (dataset & height, height & dataset):
        assert len(joined) == len(dataset)
        query = next(iter(RandomPatches(joined, size=32, length=1)))
        sample = joined[query]
        bands = sample['image']
        assert len(bands) == channels + 1
        assert (bands == 777).flatten(1).all(dim=1).sum() == 1
        assert sample['mask'].ndim == 2


def test_foreign_project_with_a_folder(tmp_path: Path) -> None:
    root = write_miniature_folder(tmp_path / 'data', columns=2, rows=2, progress=False)
    image = Modality('sentinel2/*B04*.tif', range=[0, 10_000])
    dataset = SceneFolder(root, image=image, crs='EPSG:3035')
    query = next(iter(RandomPatches(dataset, size=32, length=1)))
    assert dataset[query]['image'].shape == (1, 32, 32)
    joined = dataset & write_height(tmp_path / 'height', dataset)
    sample = joined[next(iter(RandomPatches(joined, size=32, length=1)))]
    assert (sample['image'][1] == 777).all()
