"""Scores scene by scene."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from torchgeo_cloudseg.metrics import ReconstructionMetrics, RegionMetrics, SceneMetrics

#: Scenes of six patches: scene 4 has three of them, scene 2 two, and scene 7 one.
OWNERS = [4, 2, 4, 7, 2, 4]
EPSG = {2: 32646, 4: 32736, 7: 0}


def patches() -> dict[str, Tensor]:
    """Random predictions, labels, clouds and images."""
    g = torch.Generator().manual_seed(3)
    count = len(OWNERS)
    target = torch.randint(3, (count, 9, 9), generator=g)
    target[0, :3] = 255
    return {
        'scene': torch.tensor(OWNERS)[:, None],
        'epsg': torch.tensor([EPSG[owner] for owner in OWNERS])[:, None],
        'logits': torch.randn(count, 3, 9, 9, generator=g),
        'target': target,
        'cloud_mask': torch.randint(2, (count, 30, 30), generator=g),
        'restored': torch.rand(count, 4, 30, 30, generator=g),
        'clear': torch.rand(count, 4, 30, 30, generator=g),
    }


@pytest.mark.parametrize('batch_size', [1, 2, 6])
def test_equals_the_metrics_of_each_scene_alone(batch_size: int) -> None:
    whole = patches()
    metric = SceneMetrics(3)
    for start in range(0, len(OWNERS), batch_size):
        metric.update(**{k: v[start : start + batch_size] for k, v in whole.items()})
    scenes = metric.compute()
    assert [scene.scene for scene in scenes] == [2, 4, 7]
    for scene in scenes:
        own = torch.tensor(OWNERS) == scene.scene
        segmentation, reconstruction = RegionMetrics(3), ReconstructionMetrics()
        part = {name: value[own] for name, value in whole.items()}
        segmentation.update(part['logits'], part['target'], part['cloud_mask'])
        reconstruction.update(part['restored'], part['clear'], part['cloud_mask'])
        expected = {**segmentation.compute(), **reconstruction.compute()}
        assert set(scene.scores) == set(expected)
        for name, value in expected.items():
            assert scene.scores[name] == pytest.approx(float(value), rel=1e-5), name
        assert scene.epsg == EPSG[scene.scene]
        assert scene.pixels == int((part['target'] != 255).sum())


def test_cloud_cover_is_that_of_the_labeled_pixels() -> None:
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, 0] = 255
    clouds = torch.zeros(1, 4, 4)
    clouds[0, :2] = 1
    metric = SceneMetrics(2)
    metric.update(
        torch.zeros(1), torch.zeros(1), torch.randn(1, 2, 4, 4), target, clouds
    )  # fmt: skip
    (scene,) = metric.compute()
    assert (scene.pixels, scene.cloud_cover) == (12, 4 / 12)
    # nothing was reconstructed
    assert not [name for name in scene.scores if 'PSNR' in name]


def test_scene_without_labels_has_no_score() -> None:
    metric = SceneMetrics(2)
    empty = torch.full((1, 4, 4), 255)
    clouds = torch.ones(1, 4, 4, dtype=torch.bool)
    metric.update(torch.tensor([5]), torch.tensor([0]), torch.zeros(1, 2, 4, 4), empty, clouds)
    (scene,) = metric.compute()
    assert (scene.scene, scene.pixels, scene.cloud_cover, scene.scores) == (5, 0, 0.0, {})
