"""Colors of pictures: stretches, missing pixels, labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from torchgeo_cloudseg.datasets import LandCoverClass
from torchgeo_cloudseg.datasets.rendering import (
    color_table,
    draw_labels,
    legend_patches,
    stretch,
    value_range,
)

LEGEND = (LandCoverClass('forest', (10,), (0, 100, 0)), LandCoverClass('water', (80,), (0, 0, 200)))


def test_stretch_saturates_a_hundredth_at_both_ends() -> None:
    image = torch.arange(30_000.0).reshape(3, 100, 100)
    low, high = value_range(image)
    assert (low, high) == pytest.approx((300, 29_700), abs=1)
    picture = stretch(image)
    assert picture.shape == (100, 100, 3)
    assert (picture[..., 0] == 0).mean() == pytest.approx(0.03, abs=1e-3)
    assert (picture[..., 2] == 1).mean() == pytest.approx(0.03, abs=1e-3)
    assert np.allclose(stretch(image, (0, 60_000)).max(), 29_999 / 60_000)


def test_pixels_without_data_are_white_and_change_no_stretch() -> None:
    image = np.random.default_rng(0).normal(500, 100, (3, 40, 40))
    expected = stretch(image)
    holed = np.concatenate([image, np.full((3, 40, 10), np.nan)], axis=2)
    holed[0, 0, -1] = 1e6
    picture = stretch(holed)
    np.testing.assert_allclose(picture[:, :40], expected, atol=1e-6)
    assert (picture[:, 40:] == 1).all()
    assert (stretch(np.full((3, 5, 5), np.nan)) == 1).all()
    assert np.isfinite(stretch(np.full((3, 5, 5), 7.0))).all()


def test_labels_have_the_colors_of_the_legend() -> None:
    table = color_table([entry.color for entry in LEGEND])
    assert table.shape == (256, 3)
    assert table[0].tolist() == [0, 100, 0]
    assert (table[2:] == 255).all()
    figure, axes = plt.subplots()
    draw_labels(axes, torch.tensor([[0, 1], [255, -1]]), LEGEND, 'Label')
    drawn = axes.images[0].get_array()
    assert drawn[0].tolist() == [[0, 100, 0], [0, 0, 200]]
    assert (drawn[1] == 255).all()
    plt.close(figure)
    assert [patch.get_label() for patch in legend_patches(LEGEND)] == ['forest', 'water', 'unknown']
    assert len(legend_patches(LEGEND, None)) == 2
