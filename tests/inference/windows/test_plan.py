"""Window plans."""

from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.inference import plan_windows


@pytest.mark.parametrize(
    ('size', 'starts'),
    [
        (300, (0, 80, 140)),
        (340, (0, 80, 160, 180)),
        (400, (0, 80, 160, 240)),
        (160, (0,)),
        (240, (0, 80)),
        (170, (0, 10)),
    ],
)
def test_plan_of_the_paper(size: int, starts: tuple[int, ...]) -> None:
    plan = plan_windows((size, size), 160, 80, 0.3)
    assert plan.rows.starts_px == starts
    assert len(starts) == ceil(size / 80) - 1
    assert plan.columns.nominal_starts_px == tuple(80 * i for i in range(len(starts)))


@pytest.mark.parametrize(
    ('size', 'padded', 'output', 'window'),
    [
        (300, 300, 90, 160),
        (301, 310, 90, 160),
        (305, 310, 92, 160),
        (105, 110, 32, 110),
        (1, 10, 0, 10),
    ],
)
def test_sizes_that_do_not_scale(size: int, padded: int, output: int, window: int) -> None:
    plan = plan_windows((size, 300), 160, 80, 0.3)
    assert plan.rows.padded_px == padded
    assert plan.rows.window_px == window
    assert plan.output_size_px == (output, 90)


@given(
    size=st.integers(1, 900),
    scale=st.sampled_from([Fraction(3, 10), Fraction(1, 2), Fraction(1), Fraction(2, 5)]),
    strides=st.tuples(st.integers(1, 16), st.integers(1, 16)).map(sorted),
)
def test_windows_cover_and_stay_inside(size: int, scale: Fraction, strides: list[int]) -> None:
    stride, window = (10 * n for n in strides)
    plan = plan_windows((size, 7), window, stride, scale)
    rows = plan.rows
    covered = set()
    for start, nominal in zip(rows.starts_px, rows.nominal_starts_px, strict=True):
        assert 0 <= start <= nominal
        assert start + rows.window_px <= rows.padded_px < size + rows.step_px
        assert (start * scale).denominator == 1
        covered.update(range(nominal, min(nominal + rows.window_px, rows.padded_px)))
    assert covered == set(range(rows.padded_px))
    bands = [plan.block_px(i) for i in range(len(rows))]
    assert bands[0][0] == 0
    assert bands[-1][1] == plan.output_size_px[0]
    assert all(first[1] == second[0] for first, second in pairwise(bands))


@pytest.mark.parametrize(
    ('window', 'stride', 'scale', 'message'),
    [
        (160, 0, 0.3, 'gaps'),
        (160, 161, 1, 'gaps'),
        (165, 80, 0.3, r'window=165: 165 \* 3/10 .* multiple of 10, such as 160'),
        (160, 84, 0.3, 'stride=84'),
        (160, 80, 0, 'positive'),
        (160, 80, -0.3, 'positive'),
    ],
)
def test_refused_plans(window: int, stride: int, scale: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_windows((300, 300), window, stride, scale)


def test_empty_image_is_refused() -> None:
    with pytest.raises(ValueError, match='no pixels'):
        plan_windows((0, 300), 160, 80)


def test_decimal_scales_are_exact() -> None:
    assert plan_windows((300, 300), 160, 80, 0.3).scale == Fraction(3, 10)
    assert plan_windows((300, 300), 150, 75, 1 / 3).scale == Fraction(1, 3)


def test_rows_reaching_into_a_band() -> None:
    dense = plan_windows((800, 160), 160, 40)
    assert [dense.first_row_reaching(i) for i in (0, 1, 3, 4, 10)] == [0, 0, 0, 1, 7]
