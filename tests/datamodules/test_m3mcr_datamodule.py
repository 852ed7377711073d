"""M3M-CR's data module: splits, patches, scaling, augmentation, seeds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from matplotlib import pyplot as plt
from torch import Tensor

from torchgeo_cloudseg.datamodules import M3MCRDataModule, SceneDataModule
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.miniature.m3mcr import write_file_list
from torchgeo_cloudseg.transforms import RandomFlipRotate, StackModalities

SHAPES = {
    'image': (4, 100, 100),
    'image_clear': (4, 100, 100),
    'image_sar': (2, 100, 100),
    'mask_cloud': (100, 100),
    'mask': (30, 30),
}


def batches(
    root: Path, split: str = 'train', epoch: int = 0, **kwargs: Any
) -> list[dict[str, Any]]:
    options = {'batch_size': 2, 'patch_size': 100, 'length': 6} | kwargs
    datamodule = M3MCRDataModule(root=root, **options)
    datamodule.setup('test' if split == 'test' else 'fit')
    if split == 'train':
        datamodule.train_sampler.set_epoch(epoch)
    loader = getattr(datamodule, f'{split}_dataloader')()
    return [datamodule.on_after_batch_transfer(batch, 0) for batch in loader]


def equal(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> bool:
    return all(torch.equal(x['image'], y['image']) for x, y in zip(a, b, strict=True))


@pytest.mark.slow
def test_training_patches_follow_the_contract(miniature: Path) -> None:
    loaded = batches(miniature)
    assert len(loaded) == 3
    for batch in loaded:
        assert {key: tuple(batch[key].shape[1:]) for key in SHAPES} == SHAPES
        for key in ('image', 'image_clear', 'image_sar'):
            assert batch[key].dtype == torch.float32
            assert 0 <= batch[key].min() < batch[key].max() <= 1
        assert batch['mask'].dtype == batch['mask_cloud'].dtype == torch.int64
        assert set(batch['mask'].unique().tolist()) <= {*range(6), 255}
        assert all(isinstance(value, Tensor) for value in batch.values())


@pytest.mark.slow
def test_patches_lie_on_the_grid_that_all_layers_share(miniature: Path) -> None:
    datamodule = M3MCRDataModule(root=miniature, batch_size=2, patch_size=160, length=200)
    datamodule.setup('fit')
    corners = datamodule.train_sampler.patches().to_numpy()[:, :3]
    assert set((corners[:, 1:] % 10).ravel().tolist()) == {0}
    assert {0, 140} <= set(corners[:, 1].tolist())
    assert {0, 140} <= set(corners[:, 2].tolist())


def test_scaling_is_the_papers(miniature: Path) -> None:
    dataset = M3MCR(miniature, split='test')
    (batch,) = batches(miniature, 'test', batch_size=8)
    stored = dataset[next(iter_whole(dataset))]
    expected = stored['image'].clamp(0, 10_000) / 10_000
    torch.testing.assert_close(batch['image'][0], expected)
    low = torch.tensor([-25.0, -32.5])[:, None, None]
    expected = ((stored['image_sar'] - low) / -low).clamp(0, 1)
    torch.testing.assert_close(batch['image_sar'][0], expected)


def iter_whole(dataset: M3MCR) -> Any:
    from torchgeo_cloudseg.samplers import CenterSceneSampler

    return iter(CenterSceneSampler(dataset))


def test_validation_takes_centres_and_testing_whole_scenes(miniature: Path) -> None:
    first, second = (batches(miniature, 'val') for _ in range(2))
    assert equal(first, second)
    assert first[0]['image'].shape[-2:] == (100, 100)
    (whole,) = batches(miniature, 'test', batch_size=8)
    assert whole['image'].shape == (2, 4, 300, 300)
    assert whole['mask'].shape == (2, 90, 90)


@pytest.mark.slow
def test_seeds(miniature: Path) -> None:
    assert equal(batches(miniature, seed=1), batches(miniature, seed=1))
    assert not equal(batches(miniature, seed=1), batches(miniature, seed=2))
    assert not equal(batches(miniature, seed=1), batches(miniature, seed=1, epoch=1))
    assert equal(batches(miniature, seed=1), batches(miniature, seed=1, num_workers=2))


def test_augmentation_is_off_by_default_and_moves_everything_together(miniature: Path) -> None:
    assert M3MCRDataModule(root=miniature).augmentations == {}
    datamodule = M3MCRDataModule(root=miniature, augment=True)
    assert isinstance(datamodule.augmentations['train'], RandomFlipRotate)
    plain, turned = batches(miniature), batches(miniature, augment=True)
    assert not equal(plain, turned)
    for before, after in zip(plain, turned, strict=True):
        for sample in range(len(before['mask'])):
            found = [
                turn
                for turn in range(8)
                if all(
                    torch.equal(dihedral(before[key][sample], turn), after[key][sample])
                    for key in SHAPES
                )
            ]
            assert found


def dihedral(image: Tensor, turn: int) -> Tensor:
    image = image.flip(-1) if turn >= 4 else image
    return image.rot90(turn % 4, (-2, -1))


def test_lists_choose_the_scenes(miniature: Path, tmp_path: Path) -> None:
    lines = write_file_list(tmp_path / 'all.csv', miniature / 'train').read_text().splitlines()
    chosen = tmp_path / 'val.csv'
    chosen.write_text('\n'.join(lines[:1]) + '\n')
    datamodule = M3MCRDataModule(root=miniature, batch_size=1, val_list=chosen)
    datamodule.setup('fit')
    assert len(datamodule.val_dataset.index) == 1
    with pytest.raises(ValueError, match='train_list'):
        M3MCRDataModule(root=miniature, file_list=chosen)


def test_arguments_reach_the_dataset(miniature: Path) -> None:
    (batch, *_) = batches(
        miniature, modalities=('image_clear', 'image_sar', 'mask'), classes='level2'
    )
    assert 'image' not in batch
    assert 'mask_cloud' not in batch
    assert batch['mask'].max() > 5


def test_stacked_images_are_scaled_each_in_its_own_way(miniature: Path) -> None:
    apart, joined = batches(miniature), batches(miniature, stack=True)
    for before, after in zip(apart, joined, strict=True):
        assert torch.equal(after['image'][:, :4], before['image'])
        assert torch.equal(after['image'][:, 4:], before['image_sar'])
        assert 'image_sar' not in after
    with pytest.raises(ValueError, match='`stack=True`'):
        batches(miniature, transforms=StackModalities())


def test_single_area_trains_without_validation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_miniature_m3mcr(tmp_path, train_areas=1, test_areas=0, patches_per_area=1, progress=False)
    datamodule = M3MCRDataModule(root=tmp_path, batch_size=1)
    with caplog.at_level(logging.WARNING):
        datamodule.setup('fit')
    assert 'Change `val_share`, add areas' in caplog.text
    assert 'without validation' in caplog.text
    assert datamodule.val_dataloader() == []


def test_epoch_without_a_batch_is_an_error(miniature: Path) -> None:
    datamodule = M3MCRDataModule(root=miniature, batch_size=8, length=4)
    datamodule.setup('fit')
    with pytest.raises(MisconfigurationException, match='larger `length`'):
        datamodule.train_dataloader()


def test_plot_takes_scaled_samples(miniature: Path) -> None:
    datamodule = M3MCRDataModule(root=miniature, batch_size=2)
    datamodule.setup('test')
    batch = datamodule.on_after_batch_transfer(next(iter(datamodule.test_dataloader())), 0)
    sample = {key: value[0] for key, value in batch.items()}
    sample |= {'prediction': sample['mask'], 'reconstruction': sample['image_clear']}
    figure = datamodule.plot(sample)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        'Cloudy', 'Cloud-free', 'Reconstruction', 'SAR', 'Cloud mask', 'Label', 'Prediction'
    ]  # fmt: skip
    plt.close(figure)


def test_drawn_clouds_take_the_place_of_real_ones(miniature: Path) -> None:
    sizes: dict[str, Any] = {'root': miniature, 'batch_size': 2, 'patch_size': 40, 'length': 2}
    clouds = {'preset': 'm3mcr', 'layers': ['alpha']}
    found = []
    for data in (M3MCRDataModule(**sizes), SceneDataModule(M3MCR, **sizes, clouds=clouds)):
        data.setup('fit')
        found.append(data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0))
    real, drawn = found
    assert torch.equal(real['image_clear'], drawn['image_clear'])
    assert not torch.equal(real['image'], drawn['image'])
    clear = (drawn['image_alpha'] == 0).expand_as(drawn['image'])
    assert torch.equal(drawn['image'][clear], drawn['image_clear'][clear])
