"""Batches that workers hand over in memory that is used again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from torchgeo_cloudseg._compat import TENSOR_METADATA
from torchgeo_cloudseg.datamodules import M3MCRDataModule, SceneDataLoader
from torchgeo_cloudseg.datamodules.batch_reader import collate
from torchgeo_cloudseg.datamodules.shared_memory import BUFFERS_PER_WORKER, lay_out
from torchgeo_cloudseg.datasets import M3MCR
from torchgeo_cloudseg.samplers import RandomSceneSampler

BATCHES, BATCH_SIZE = 12, 2


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


def test_samples_of_different_size_are_named(miniature: Path) -> None:
    def crop(sample: dict[str, Any]) -> dict[str, Any]:
        size = 40 if sample['scene'] == dataset.scenes.names.index(first) else 60
        return {**sample, 'image': sample['image'][:, :size]}

    dataset = M3MCR(miniature, val_share=0)
    first = next(iter(RandomSceneSampler(dataset, 60, 23, seed=4))).scene
    dataset.transforms = crop
    with pytest.raises(RuntimeError, match=r'image: found torch.float32 \(4, 60, 60\) in sample 1'):
        list(loader(dataset))


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


def test_collate_functions_are_refused(dataset: M3MCR) -> None:
    with pytest.raises(ValueError, match='transforms'):
        loader(dataset, collate_fn=collate)


def test_tensors_of_a_batch_do_not_overlap() -> None:
    sample = {'a': torch.zeros(3, dtype=torch.int64), 'b': torch.zeros(5, 2), 'c': torch.zeros(1)}
    parts = lay_out(sample, 7)
    buffer = torch.zeros(parts[-1].stop, dtype=torch.uint8)
    for value, part in enumerate(parts, 1):
        part.of(buffer).fill_(value)
    for value, part in enumerate(parts, 1):
        assert part.of(buffer).shape == (7, *sample[part.key].shape)
        assert part.of(buffer).unique().tolist() == [value]
