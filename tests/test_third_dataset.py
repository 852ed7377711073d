"""A data set is a declaration: one more, in this file, and every command knows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import rasterio
import torch
from helpers import write
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from matplotlib.image import imread
from rasterio.transform import from_origin

from torchgeo_cloudseg.cli import main
from torchgeo_cloudseg.datamodules import SceneDataModule
from torchgeo_cloudseg.datasets import (
    DATASETS,
    LandCoverClass,
    Layer,
    SceneDataset,
    SceneFiles,
    by_key,
)
from torchgeo_cloudseg.trainers import CloudSegStudentTask

BANDS = ('B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12')


class Fields(SceneDataset):
    """Sentinel-2 and Sentinel-1 over fields, in two UTM zones."""

    name, title, layout = 'fields', 'Fields', 'train/s2, train/s1, train/crops'
    layers = by_key(
        Layer('image', 's2', BANDS, ('uint16',), nodata=0),
        Layer('image_sar', 's1', ('VV', 'VH'), ('float32',), may_be_nan=True),
        Layer('mask', 'crops', ('class',), ('uint8',), categorical=True),
    )
    legend = (
        LandCoverClass('wheat', (1,), (220, 190, 60)),
        LandCoverClass('maize', (2, 3), (90, 160, 50)),
        LandCoverClass('fallow', (9,), (150, 110, 80)),
    )
    rgb_bands = ('B04', 'B03', 'B02')
    ranges: ClassVar = {'image': ((0.0,), (10000.0,)), 'image_sar': ((-25.0, -32.5), (0.0, 0.0))}


CODES = np.array([0, 1, 2, 3, 9], np.uint8)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes for training and two for testing, of 96 x 128 px."""
    root = tmp_path_factory.mktemp('fields')
    rng = np.random.default_rng(0)
    for number in range(8):
        part = 'train' if number < 6 else 'test'
        place = {
            'crs': f'EPSG:{32632 + number % 2}',
            'transform': from_origin(500_000 + 5_000 * number, 5_000_000, 10, 10),
        }
        codes = CODES[rng.integers(5, size=(1, 12, 16))].repeat(8, 1).repeat(8, 2)
        optical = 500 + 300 * codes.astype(int) + rng.integers(200, size=(10, 96, 128))
        radar = (rng.normal(-12, 2, (2, 96, 128)) - codes).astype(np.float32)
        for folder, pixels in (('s2', optical.astype(np.uint16)), ('s1', radar), ('crops', codes)):
            write(root / part / folder / f'field_{number}.tif', pixels, **place)
    return root


@pytest.fixture(scope='module')
def student(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that has been trained and tested."""
    data = SceneDataModule(
        Fields, root=root, batch_size=2, patch_size=64, length=4, clouds='broken', augment=True
    )
    task = CloudSegStudentTask(
        backbone='mit_b0', in_channels=(10, 2), num_classes=3, label_scale=1.0, window=64, stride=64
    )
    keep = ModelCheckpoint(tmp_path_factory.mktemp('student'), filename='student')
    options: dict[str, Any] = {'accelerator': 'cpu', 'logger': False, 'enable_progress_bar': False}
    trainer = Trainer(max_epochs=1, callbacks=[keep], enable_model_summary=False, **options)
    trainer.fit(task, data)
    (scores,) = trainer.test(task, data, verbose=False)
    assert 0 <= scores['test_cloudy_mIoU'] <= 1
    assert scores['test_cloudy_PSNR'] > 0
    return Path(keep.best_model_path)


def test_declaration_is_registered() -> None:
    assert DATASETS['fields'] is Fields
    assert Fields.reference == 'image'
    assert Fields.all_bands == BANDS
    with pytest.raises(ValueError, match="name='fields': expected a name that no other"):
        type('Other', (Fields,), {'name': 'fields'})
    assert DATASETS['fields'] is Fields


def test_samples_are_what_the_files_hold(root: Path) -> None:
    zoned = Fields.zoned(root, split='test')
    assert [part.crs.to_epsg() for part in zoned.zone_datasets] == [32632, 32633]
    query = zoned.index.geometry.iloc[0]
    assert query.area == pytest.approx(960 * 1280, rel=5e-3)
    dataset = Fields(root, 'test', zone=32632)
    left, bottom, right, top = dataset.index.geometry.iloc[0].bounds
    sample = dataset[left:right, bottom:top]
    with rasterio.open(root / 'test/s2/field_6.tif') as raster:
        np.testing.assert_array_equal(sample['image'].numpy(), raster.read())
    with rasterio.open(root / 'test/crops/field_6.tif') as raster:
        stored = raster.read(1)
    classes = {0: 255, 1: 0, 2: 1, 3: 1, 9: 2}
    np.testing.assert_array_equal(sample['mask'].numpy(), np.vectorize(classes.get)(stored))


def test_facts_are_those_of_the_declaration(root: Path) -> None:
    data = SceneDataModule(Fields, root=root, patch_size=(64, 96))
    data.setup('test')
    spec = data.scene_spec
    assert spec == data.test_dataset.scene_spec(64)
    assert spec.class_names == ('wheat', 'maize', 'fallow')
    assert spec.class_colors[2] == (150, 110, 80)
    assert spec.optical_bands == tuple(range(1, 11))
    assert spec.sar_bands == (1, 2)
    assert spec.sar_range == ((-25.0, -32.5), (0.0, 0.0))
    assert (spec.optical_nodata, spec.label_scale, spec.window) == (0, 1, 64)
    assert spec.rgb == (2, 1, 0)
    assert Fields.published_spec(3, 64) == spec
    with pytest.raises(ValueError, match='Fields has 3 classes, expected 7'):
        Fields.published_spec(7)


def test_index_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(['index', str(root)])
    shown = capsys.readouterr().out
    assert '8 sound scenes, all pixels read: nothing is wrong.' in shown
    for text in ('EPSG:32632', 'EPSG:32633', 'train', 'val', 'test'):
        assert text in shown


@pytest.mark.slow
def test_plot_command(root: Path, student: Path, tmp_path: Path) -> None:
    main(['plot', str(root), str(tmp_path / 'plain.png')])
    main(
        [
            'plot',
            str(root),
            str(tmp_path / 'mapped.png'),
            f'--checkpoint={student}',
            '--dataset=fields',
            '--index=1',
        ]
    )
    plain, mapped = (imread(tmp_path / f'{name}.png') for name in ('plain', 'mapped'))
    # the panels of clouds, of the reconstruction and of the prediction beside the others
    assert mapped.shape[1] > 1.5 * plain.shape[1]


@pytest.mark.slow
def test_map_command(root: Path, student: Path, tmp_path: Path) -> None:
    scene = root / 'test'
    output = tmp_path / 'map.tif'
    main(
        [
            'map',
            f'--optical={scene}/s2/field_6.tif',
            f'--sar={scene}/s1/field_6.tif',
            f'--checkpoint={student}',
            f'--output={output}',
        ]
    )
    with rasterio.open(output) as raster, rasterio.open(scene / 's2/field_6.tif') as source:
        assert raster.shape == source.shape
        assert (raster.crs, raster.transform) == (source.crs, source.transform)
        assert set(np.unique(raster.read(1))) <= {0, 1, 2}
        assert raster.colormap(1)[0][:3] == (220, 190, 60)


def test_training_batches_are_clouded(root: Path) -> None:
    data = SceneDataModule(
        Fields, root=root, batch_size=2, patch_size=64, length=4, test_size=64, clouds='thick'
    )
    data.setup('fit')
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch['image'].shape == (2, 10, 64, 64)
    clear = batch['mask_cloud'] == 0
    assert clear.any()
    assert not torch.equal(batch['image'], batch['image_clear'])
    # validation: patches side by side, one scene of 96 x 128 px
    assert len(data.val_sampler) == 2


class Listed(SceneDataset):
    """Scenes that a scan of one's own finds, with a place of their own."""

    layers = by_key(Layer('image', 'any', ('gray',), ('uint8',)))
    ranges: ClassVar = {'image': ((0.0,), (255.0,))}

    @classmethod
    def scan(cls, root: Path, part: str, layers: Any) -> Any:
        for number, path in enumerate(sorted((root / part).glob('*.tif'))):
            bounds = (10.0 + number, 50.0, 10.1 + number, 50.1)
            yield SceneFiles(path.stem, {'image': str(path)}, bounds=bounds)


def test_files_without_a_place_lie_where_the_scan_says(tmp_path: Path) -> None:
    for name in 'ab':
        pixels = np.arange(100, dtype=np.uint8).reshape(1, 10, 10)
        write(tmp_path / f'train/{name}.tif', pixels, crs=None, transform=None)
    dataset = Listed(tmp_path, val_share=0)
    assert Listed.name not in DATASETS
    assert dataset.index.total_bounds.tolist() == pytest.approx([10, 50, 11.1, 50.1])
    sample = dataset[10.0:10.1, 50.0:50.1]
    np.testing.assert_array_equal(sample['image'].numpy()[0].ravel(), np.arange(100))
