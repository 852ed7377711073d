"""Batches: those of the data set, from any number of workers, from the middle of an epoch on."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torchgeo.datasets import RasterDataset

from torchgeo_cloudseg._compat import TENSOR_METADATA
from torchgeo_cloudseg.datamodules import M3MCRDataModule, SceneDataLoader
from torchgeo_cloudseg.datamodules.collate import RecyclingCollate, collate
from torchgeo_cloudseg.datamodules.loader import LoaderError
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.samplers import CenterSceneSampler, GridSceneSampler, RandomSceneSampler

BATCHES, BATCH_SIZE = 12, 2
BUFFERS_PER_WORKER = RecyclingCollate.BUFFERS


@pytest.fixture
def dataset(miniature: Path) -> M3MCR:
    return M3MCR(miniature, val_share=0)


def loader(dataset: M3MCR, **options: Any) -> SceneDataLoader:
    # a last batch of one sample
    sampler = RandomSceneSampler(dataset, 60, BATCHES * BATCH_SIZE - 1, seed=4)
    return SceneDataLoader(dataset, batch_size=BATCH_SIZE, sampler=sampler, **options)


def expected(dataset: M3MCR, epoch: int = 0) -> list[dict[str, Tensor]]:
    """The batches of an epoch, stacked sample by sample."""
    sampler = RandomSceneSampler(dataset, 60, BATCHES * BATCH_SIZE - 1, seed=4)
    sampler.set_epoch(epoch)
    queries = list(sampler)
    starts = range(0, len(queries), BATCH_SIZE)
    return [collate([dataset[q] for q in queries[i : i + BATCH_SIZE]]) for i in starts]


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(
        found[key].dtype == value.dtype and torch.equal(found[key], value)
        for key, value in wanted.items()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    'options',
    [
        {},
        {'num_workers': 1},
        {'num_workers': 2, 'persistent_workers': True},
        {'num_workers': 2, 'multiprocessing_context': 'spawn'},
    ],
    ids=['none', 'one', 'two', 'spawned'],
)
def test_batches_are_those_of_the_dataset(dataset: M3MCR, options: dict[str, Any]) -> None:
    batches = loader(dataset, **options)
    for _ in range(2):
        wanted = expected(dataset)
        for found in batches:
            assert same(found, wanted.pop(0))
        assert not wanted


def test_batches_that_are_kept_stay_as_they_are(dataset: M3MCR) -> None:
    kept = list(loader(dataset, num_workers=1))
    # more of them than there are buffers
    assert len(kept) == BATCHES > BUFFERS_PER_WORKER
    assert all(same(*pair) for pair in zip(kept, expected(dataset), strict=True))


def test_memory_of_batches_that_are_gone_is_used_again(dataset: M3MCR) -> None:
    places = [
        batch['image'].untyped_storage().data_ptr() for batch in loader(dataset, num_workers=1)
    ]
    assert len(set(places)) <= BUFFERS_PER_WORKER < BATCHES


@pytest.mark.slow
def test_buffers_are_given_back_while_the_worker_looks_for_one(dataset: M3MCR) -> None:
    sampler = RandomSceneSampler(dataset, 20, 4000, seed=1)
    batches = SceneDataLoader(dataset, batch_size=1, sampler=sampler, num_workers=2)
    queries = list(sampler)
    for number, batch in enumerate(batches):
        if number % 100 == 0:
            assert torch.equal(batch['image'][0], dataset[queries[number]]['image'])
    assert number == 3999


def test_a_view_keeps_its_batch(dataset: M3MCR) -> None:
    corners = []
    for batch in loader(dataset, num_workers=1):
        corners.append(batch['image'][:, 0, :2, :2].numpy())
        del batch
    wanted = [batch['image'][:, 0, :2, :2].numpy() for batch in expected(dataset)]
    assert all((a == b).all() for a, b in zip(corners, wanted, strict=True))


def test_an_epoch_left_early_costs_no_buffer(dataset: M3MCR) -> None:
    batches = loader(dataset, num_workers=1, persistent_workers=True)
    for _ in range(3 * BUFFERS_PER_WORKER):
        next(iter(batches))
    places = set()
    for found, wanted in zip(batches, expected(dataset), strict=True):
        assert same(found, wanted)
        places.add(found['image'].untyped_storage().data_ptr())
    assert len(places) <= BUFFERS_PER_WORKER


@pytest.mark.skipif(TENSOR_METADATA, reason='TorchGeo 0.9 and later stack tensors only')
def test_samples_with_text_are_stacked_as_torchgeo_does(miniature: Path) -> None:
    dataset = M3MCR(miniature, val_share=0, transforms=lambda sample: {**sample, 'note': 'dry'})
    for workers in (0, 1):
        batch = next(iter(loader(dataset, num_workers=workers)))
        assert list(batch['note']) == ['dry'] * BATCH_SIZE
        assert batch['image'].shape == (BATCH_SIZE, 4, 60, 60)


@pytest.mark.parametrize('num_workers', [0, 1])
def test_samples_of_different_size_are_named(miniature: Path, num_workers: int) -> None:
    def crop(sample: dict[str, Any]) -> dict[str, Any]:
        size = 40 if sample['scene'] == dataset.scenes.names.index(first) else 60
        return {**sample, 'image': sample['image'][:, :size]}

    dataset = M3MCR(miniature, val_share=0)
    first = next(iter(RandomSceneSampler(dataset, 60, 23, seed=4))).scene
    dataset.transforms = crop
    with pytest.raises(RuntimeError, match=r'image: found torch.float32 \(4, 60, 60\) in sample 1'):
        list(loader(dataset, num_workers=num_workers))


@pytest.mark.parametrize('missing', [0, 1])
def test_samples_with_other_keys_are_named(dataset: M3MCR, missing: int) -> None:
    samples = [dataset[query] for query in list(RandomSceneSampler(dataset, 60))[:2]]
    del samples[missing]['image_sar']
    with pytest.raises(RuntimeError, match=r'image_sar: .*nothing.* in the first'):
        collate(samples)


class Echo(LightningModule):
    """Gives back where patches lie."""

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return batch['bounds'].clone()


@pytest.mark.parametrize('num_workers', [0, 1])
def test_lightning_can_make_it_anew_for_prediction(
    dataset: M3MCR, miniature: Path, num_workers: int
) -> None:
    trainer = Trainer(accelerator='cpu', logger=False, enable_progress_bar=False)
    found = trainer.predict(Echo(), loader(dataset, num_workers=num_workers))
    wanted = [batch['bounds'] for batch in expected(dataset)]
    assert found is not None
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    data = M3MCRDataModule(root=miniature, batch_size=4, num_workers=num_workers)
    places = trainer.predict(Echo(), data)
    assert places is not None
    assert len(torch.cat(places)) == len(M3MCR(miniature, 'test').scenes)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_tensors_of_a_batch_are_aligned_and_do_not_overlap(
    dataset: M3MCR, num_workers: int
) -> None:
    batch = next(iter(loader(dataset, num_workers=num_workers)))
    spans = sorted((v.data_ptr(), v.data_ptr() + v.nbytes) for v in batch.values())
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(spans))
    assert all(start % 64 == 0 for start, _ in spans)


@pytest.mark.parametrize('num_workers', [0, 2])
def test_own_collate_function(dataset: M3MCR, num_workers: int) -> None:
    batches = list(loader(dataset, collate_fn=names, num_workers=num_workers))
    sampler = RandomSceneSampler(dataset, 60, BATCHES * BATCH_SIZE - 1, seed=4)
    scenes = [dataset.scene_names.index(str(query.scene)) for query in sampler]
    assert [scene for batch in batches for scene in batch] == scenes


def names(samples: list[dict[str, Any]]) -> list[int]:
    return [int(sample['scene']) for sample in samples]


@pytest.mark.parametrize('num_workers', [0, 2])
def test_resumed_epoch_is_the_rest_of_it(dataset: M3MCR, num_workers: int) -> None:
    """The position counts in the epoch that is resumed; those after it are whole."""
    options = {'num_workers': num_workers, 'persistent_workers': num_workers > 0}
    used = 5
    before = loader(dataset, position=lambda: used, **options)
    after = loader(dataset, **options)
    after.load_state_dict(before.state_dict())
    for epoch, start in ((2, used), (3, 0)):
        # Lightning makes the iterator first, and only then tells the sampler the epoch
        batches = iter(after)
        after.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        wanted = expected(dataset, epoch)[start:]
        assert len(wanted) == BATCHES - start
        for found, batch in zip(batches, wanted, strict=True):
            assert same(found, batch)


def test_finished_epoch_is_not_resumed(dataset: M3MCR) -> None:
    """Interrupted after its last batch, in validation."""
    batches = loader(dataset)
    batches.load_state_dict({'batches': BATCHES})
    assert len(list(batches)) == BATCHES


@pytest.mark.parametrize('num_workers', [0, 2])
def test_plain_raster_dataset(miniature: Path, num_workers: int) -> None:
    """TorchGeo's own, whose samples have a CRS and slices in 0.8.1."""

    class Images(RasterDataset):
        filename_glob = 'planet_cloudfree_*.tif'

    images = Images(miniature / 'train')
    sampler = GridSceneSampler(images, 150)
    batches = list(SceneDataLoader(images, 4, sampler, num_workers=num_workers))
    pixels = torch.cat([batch['image'] for batch in batches])
    bounds = torch.cat([batch['bounds'] for batch in batches])
    queries = list(sampler)
    assert len(queries) == len(pixels) == len(images) * 4
    for query, patch, place in zip(queries, pixels, bounds, strict=True):
        x, y, _ = query
        assert torch.equal(patch, images[query]['image'])
        assert place[:6].tolist() == [x.start, x.stop, x.step, y.start, y.stop, y.step]
    assert all(isinstance(value, Tensor) for value in batches[0].values())


def test_what_is_wrong_in_a_worker_is_said_without_its_inside(
    miniature: Path, tmp_path: Path
) -> None:
    dataset = M3MCR(shutil.copytree(miniature, tmp_path / 'copy'), val_share=0)
    sampler = CenterSceneSampler(dataset)
    for file in (tmp_path / 'copy').rglob('planet_cloudy_*.tif'):
        file.write_bytes(b'II*')
    with pytest.raises(LoaderError, match=r'^\S+\.tif: found an unreadable file') as caught:
        list(SceneDataLoader(dataset, batch_size=1, sampler=sampler, num_workers=1))
    assert 'Traceback' not in str(caught.value)
