"""Blending strategies."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.inference import Crop, Gaussian, Hann, make_blend, plan_windows

NAMES = ('average', 'hann', 'gaussian', 'crop')


@given(
    size=st.integers(1, 700),
    strides=st.tuples(st.integers(1, 16), st.integers(1, 16)).map(sorted),
    name=st.sampled_from(NAMES),
    scale=st.sampled_from([Fraction(3, 10), Fraction(1)]),
)
def test_weights_add_up_to_one(size: int, strides: list[int], name: str, scale: Fraction) -> None:
    stride, window = (10 * n for n in strides)
    plan = plan_windows((size, size), window, stride, scale)
    weights = make_blend(name).weights(plan.rows, scale)
    total = torch.zeros(plan.to_output(plan.rows.padded_px))
    for start, row in zip(plan.rows.starts_px, weights, strict=True):
        first = plan.to_output(start)
        total[first : first + len(row)] += row
    assert (weights >= 0).all()
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-5, rtol=0)


def test_average_uses_a_shifted_window_from_its_nominal_start_on() -> None:
    axis = plan_windows((300, 300), 160, 80, 0.3).rows
    first, second, last = make_blend('average').weights(axis, Fraction(3, 10))
    assert first.tolist() == [1.0] * 24 + [0.5] * 24
    assert second.tolist() == [0.5] * 48
    # at 140 instead of 160: its first 20 px (6 label pixels) do not count
    assert last.tolist() == [0.0] * 6 + [0.5] * 24 + [1.0] * 18


def test_crop_takes_every_pixel_from_one_window() -> None:
    axis = plan_windows((400, 400), 160, 120).rows
    weights = Crop().weights(axis, Fraction(1))
    assert set(weights.flatten().tolist()) == {0.0, 1.0}
    # windows at 0, 120, 240 overlap by 40
    assert weights.sum(dim=1).tolist() == [140, 120, 140]


@pytest.mark.parametrize('blend', [Hann(), Gaussian()])
def test_smooth_blends_prefer_the_center(blend: Hann) -> None:
    axis = plan_windows((1000, 1000), 160, 80).rows
    inner = blend.weights(axis, Fraction(1))[3]
    assert inner.argmax().item() in (79, 80)
    assert (inner[:79].diff() > 0).all()
    torch.testing.assert_close(inner, inner.flip(0))
    assert inner[0] < 0.01


def test_unknown_blend() -> None:
    with pytest.raises(ValueError, match=r"blend='mean': expected one of average, hann"):
        make_blend('mean')
    assert make_blend(Gaussian(0.2)) == Gaussian(0.2)
