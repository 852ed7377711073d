"""Segmentation metrics by region: golden numbers, invariants, several processes."""

import json
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torchmetrics.functional.classification import multiclass_jaccard_index

from torchgeo_cloudseg.metrics import REGIONS, RegionMetrics, region_table
from torchgeo_cloudseg.metrics.confusion import count_confusion
from torchgeo_cloudseg.metrics.regions import clouds_on_grid

NAMES = {'OA': 'Overall Acc', 'mAcc': 'Mean Acc', 'fwIoU': 'FreqW Acc', 'mIoU': 'Mean IoU'}


def sample(seed: int, batch: int = 4, classes: int = 5, size: int = 9) -> tuple[Tensor, ...]:
    """Logits (B, K, s, s), labels with ignored pixels and clouds (B, 2s, 2s)."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, classes, size, size, generator=g)
    target = torch.randint(classes, (batch, size, size), generator=g)
    target[torch.rand(batch, size, size, generator=g) < 0.2] = 255
    clouds = torch.rand(batch, 2 * size, 2 * size, generator=g) < 0.4
    return logits, target, clouds.long()


def scores(metric: RegionMetrics) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


@pytest.fixture
def recorded(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / 'metrics.npz') as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays}


@pytest.mark.parametrize('ignore_index', [255, 6])
@pytest.mark.parametrize('as_logits', [False, True])
def test_golden(golden: Path, recorded, ignore_index: int, as_logits: bool) -> None:
    expected = json.loads((golden / 'metrics.json').read_text())
    preds = recorded['predictions']
    if as_logits:
        preds = torch.nn.functional.one_hot(preds.long(), 6).movedim(-1, 1).float()
    metric = RegionMetrics(6, ignore_index=ignore_index)
    metric.update(preds, recorded['labels'], recorded['cloud_mask'])
    values = scores(metric)
    for region in REGIONS:
        theirs = expected[region]
        for ours, name in NAMES.items():
            np.testing.assert_allclose(values.pop(f'{region}_{ours}'), theirs[name], rtol=1e-9)
        for k, iou in enumerate(theirs['Class IoU']):
            if iou is not None:
                np.testing.assert_allclose(values.pop(f'{region}_IoU_{k}'), iou, rtol=1e-9)
        assert metric.confusion_matrix(region).tolist() == theirs['confusion']
    assert not values


@given(seed=st.integers(0, 2**31))
def test_scores_are_those_of_torchmetrics(seed: int) -> None:
    logits, target, clouds = sample(seed)
    metric = RegionMetrics(5)
    metric.update(logits, target, clouds)
    target = torch.where(clouds_on_grid(clouds, (9, 9)), target, 255)
    jaccard = {
        average: multiclass_jaccard_index(
            logits, target, 5, average=average, ignore_index=255, zero_division=0
        ).item()
        for average in ('macro', 'weighted')
    }
    values = scores(metric)
    assert values['cloudy_mIoU'] == pytest.approx(jaccard['macro'], rel=1e-5)
    assert values['cloudy_fwIoU'] == pytest.approx(jaccard['weighted'], rel=1e-5)


@given(seed=st.integers(0, 2**31), cut=st.integers(1, 3))
def test_batches_and_order_do_not_matter(seed: int, cut: int) -> None:
    logits, target, clouds = sample(seed)
    whole, parts, shuffled, merged = (RegionMetrics(5) for _ in range(4))
    whole.update(logits, target, clouds)
    for part in (slice(cut), slice(cut, None)):
        parts(logits[part], target[part], clouds[part])
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    shuffled.update(logits[order], target[order], clouds[order])
    merged.update(logits[:cut], target[:cut], clouds[:cut])
    other = RegionMetrics(5)
    other.update(logits[cut:], target[cut:], clouds[cut:])
    merged.merge_state(other)
    assert scores(whole) == scores(parts) == scores(shuffled) == scores(merged)


@given(seed=st.integers(0, 2**31))
def test_all_is_clear_and_cloudy(seed: int) -> None:
    logits, target, clouds = sample(seed)
    metric = RegionMetrics(5)
    metric.update(logits, target, clouds)
    everything, clear, cloudy = (metric.confusion_matrix(region) for region in REGIONS)
    assert everything.equal(clear + cloudy)
    assert everything.sum() == (target != 255).sum()
    swapped = RegionMetrics(5)
    swapped.update(logits, target, 1 - clouds)
    assert swapped.confusion_matrix('clear').equal(cloudy)


@given(seed=st.integers(0, 2**31))
def test_renaming_classes_renames_their_iou_and_nothing_else(seed: int) -> None:
    logits, target, clouds = sample(seed)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    new_class = torch.full((256,), 255)
    new_class[order] = torch.arange(5)
    before, after = RegionMetrics(5), RegionMetrics(5, labels=[str(int(k)) for k in order])
    before.update(logits, target, clouds)
    after.update(logits[:, order], new_class[target], clouds)
    assert scores(before) == pytest.approx(scores(after))


@given(seed=st.integers(0, 2**31))
def test_predictions_of_ignored_pixels_do_not_count(seed: int) -> None:
    logits, target, clouds = sample(seed)
    metric, other = RegionMetrics(5), RegionMetrics(5)
    metric.update(logits, target, clouds)
    preds = torch.where(target == 255, 200, logits.argmax(dim=1))
    other.update(preds, target, clouds)
    assert scores(metric) == scores(other)


@pytest.mark.parametrize(('cover', 'empty'), [(0, 'cloudy'), (1, 'clear')])
def test_a_region_without_pixels_has_no_scores(cover: int, empty: str) -> None:
    logits, target, clouds = sample(0)
    metric = RegionMetrics(5)
    metric.update(logits, target, torch.full_like(clouds, cover))
    values = scores(metric)
    assert np.isfinite(list(values.values())).all()
    assert {name.split('_')[0] for name in values} == {'all', 'clear', 'cloudy'} - {empty}
    assert metric.confusion_matrix(empty).sum() == 0


def test_counting_waits_for_no_device() -> None:
    # tensors without values refuse every operation that has to look at them
    with FakeTensorMode():
        logits, target = torch.randn(4, 5, 9, 9), torch.zeros(4, 9, 9, dtype=torch.long)
        cloudy = clouds_on_grid(torch.rand(4, 18, 18), (9, 9))
        assert count_confusion(logits.argmax(dim=1), target, cloudy, 5, 255).shape == (4, 2, 5, 5)
        with pytest.raises(DynamicOutputShapeException):
            torch.bincount(target.flatten(), minlength=50)


def test_nothing_labeled_has_no_scores() -> None:
    logits, target, clouds = sample(0)
    metric = RegionMetrics(5)
    metric.update(logits, torch.full_like(target, 255), clouds)
    assert metric.compute() == {}


@given(data=st.data())
def test_every_score_is_finite_and_a_share(data) -> None:
    labels = st.lists(st.sampled_from([0, 1, 2, 3, 7, 255]), min_size=4, max_size=4)
    target = torch.tensor(data.draw(labels)).view(1, 2, 2)
    preds = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4)))
    clouds = torch.tensor(data.draw(st.lists(st.booleans(), min_size=4, max_size=4)))
    metric = RegionMetrics(4)
    metric.update(preds.view(1, 2, 2), target, clouds.view(1, 2, 2))
    values = scores(metric)
    assert all(0 <= value <= 1 for value in values.values())
    assert ('all_mIoU' in values) == bool((target < 4).any())


def test_a_class_predicted_but_nowhere_labeled_lowers_the_mean() -> None:
    metric = RegionMetrics(3, labels=['forest', 'water', 'urban'])
    target = torch.tensor([[[0, 0], [1, 1]]])
    metric.update(torch.tensor([[[0, 2], [1, 1]]]), target, torch.zeros(1, 2, 2))
    values = scores(metric)
    assert values['all_IoU_urban'] == 0
    assert values['all_IoU_forest'] == 0.5
    assert values['all_mIoU'] == 0.5
    assert values['all_mAcc'] == 0.75


@pytest.mark.parametrize('dtype', [torch.bool, torch.uint8, torch.long, torch.float32])
def test_cloud_mask_on_the_label_grid(dtype: torch.dtype) -> None:
    # every row and column its own number, so that the one taken can be told
    rows = torch.arange(300).view(1, 300, 1).expand(1, 300, 300) % 7 == 0
    taken = [i * 10 // 3 for i in range(90)]
    small = clouds_on_grid(rows.to(dtype), (90, 90))
    assert small[0, :, 0].tolist() == [row % 7 == 0 for row in taken]
    assert clouds_on_grid(rows.mT.to(dtype), (90, 90)).equal(small.mT)


@given(stored=st.integers(1, 700), wanted=st.integers(1, 700))
def test_cloud_mask_takes_the_pixel_that_holds_the_corner(stored: int, wanted: int) -> None:
    position = torch.arange(stored)
    for bit in range(10):
        mask = (position >> bit & 1).view(1, stored, 1)
        index = [i * stored // wanted >> bit & 1 for i in range(wanted)]
        assert clouds_on_grid(mask, (wanted, 1))[0, :, 0].long().tolist() == index


def test_labels_and_prefix_name_the_scores() -> None:
    logits, target, clouds = sample(0, classes=2)
    metric = RegionMetrics(2, labels=['bare land', 'water_body'], prefix='val_')
    metric.update(logits, target, clouds)
    names = list(metric.compute())
    assert names[:6] == [
        'val_all_OA',
        'val_all_mAcc',
        'val_all_fwIoU',
        'val_all_mIoU',
        'val_all_IoU_bare land',
        'val_all_IoU_water_body',
    ]
    rows = region_table(metric.compute() | {'val_loss': torch.tensor(1.0)}, prefix='val_')
    assert [row['score'] for row in rows][-1] == 'IoU_water_body'
    assert len(rows) == 6
    assert set(rows[0]) == {'score', 'all', 'clear', 'cloudy'}


def test_table_has_none_where_there_is_nothing_to_measure() -> None:
    metric = RegionMetrics(2)
    one = torch.zeros(1, 2, 2, dtype=torch.long)
    metric.update(one, one, one + 1)
    rows = region_table(metric.compute())
    assert rows[0] == {'score': 'OA', 'all': 1.0, 'clear': None, 'cloudy': 1.0}
    assert json.loads(json.dumps(rows)) == rows


def test_negative_ignore_index_and_small_integers() -> None:
    target = torch.tensor([[[0, 255], [1, 200]]], dtype=torch.uint8)
    metric = RegionMetrics(2, ignore_index=-1)
    metric.update(torch.zeros(1, 2, 2, dtype=torch.uint8), target, torch.zeros(1, 2, 2))
    assert metric.confusion_matrix().tolist() == [[1, 0], [1, 0]]


def test_ignored_class() -> None:
    target = torch.tensor([[[0, 0], [1, 1]]])
    metric = RegionMetrics(2, ignore_index=0)
    metric.update(torch.zeros(1, 2, 2, dtype=torch.long), target, torch.zeros(1, 2, 2))
    assert metric.confusion_matrix().tolist() == [[0, 0], [2, 0]]


def test_counts_survive_half_precision_reset_and_pickling() -> None:
    logits, target, clouds = sample(0)
    metric = RegionMetrics(5).to(torch.bfloat16)
    metric.update(logits.bfloat16(), target, clouds)
    assert metric.confusion.dtype == torch.long
    assert scores(pickle.loads(pickle.dumps(metric))) == scores(metric)
    metric.reset()
    assert metric.confusion_matrix().sum() == 0


@pytest.mark.parametrize(
    ('preds', 'target', 'clouds', 'message'),
    [
        (torch.zeros(2, 5, 4, 4), torch.zeros(2, 4, 5), torch.zeros(2, 4, 4), r'\(2, 4, 5\)'),
        (torch.zeros(2, 1, 5, 4, 4), torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), 'must have'),
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), '3 channels for 5'),
        (torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), 'integer type'),
        (torch.zeros(2, 5, 4, 4), torch.zeros(2, 4, 4), torch.zeros(1, 4, 4), 'B = 2'),
        (torch.full((1, 4, 4), 9), torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), r'\[9\].*0\.\.4'),
    ],
)
def test_bad_input_is_refused(preds, target, clouds, message) -> None:
    with pytest.raises(ValueError, match=message):
        RegionMetrics(5).update(preds, target.long(), clouds)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match='num_classes'):
        RegionMetrics(0)
    with pytest.raises(ValueError, match='2 different names'):
        RegionMetrics(2, labels=['a', 'b', 'c'])
    with pytest.raises(ValueError, match='2 different names'):
        RegionMetrics(2, labels=['a', 'a'])
    with pytest.raises(ValueError, match="found 'shadow'"):
        RegionMetrics(2).confusion_matrix('shadow')


def _count_half(rank: int, folder: str) -> None:
    """One of two processes: counts every other image and saves what the two counted."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/meet', rank=rank, world_size=2)
    logits, target, clouds = sample(7)
    # the second process sees no cloud, and so no pixel of one region
    mine = clouds[rank::2] * (1 - rank)
    metric = RegionMetrics(5)
    metric.update(logits[rank::2], target[rank::2], mine)
    result = {'scores': scores(metric), 'confusion': metric.confusion_matrix().tolist()}
    # unsynced again afterwards: counting goes on with this process's own share
    result['own'] = int(metric.confusion.sum())
    (Path(folder) / f'{rank}.json').write_text(json.dumps(result))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_count_as_one(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context('spawn')
    processes = [spawn.Process(target=_count_half, args=(rank, str(tmp_path))) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = (json.loads((tmp_path / f'{rank}.json').read_text()) for rank in (0, 1))

    logits, target, clouds = sample(7)
    clouds[1::2] = 0
    one = RegionMetrics(5)
    one.update(logits, target, clouds)
    assert first['scores'] == second['scores'] == scores(one)
    assert first['confusion'] == second['confusion'] == one.confusion_matrix().tolist()
    assert first['own'] + second['own'] == int(one.confusion.sum())
