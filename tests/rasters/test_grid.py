"""Pixel arithmetic between resolutions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.rasters import nearest, size_at

ONE, TENTHS = Fraction(1), Fraction(3, 10)


def test_sar_to_optical_grid_is_the_authors_rule() -> None:
    take = nearest(0, 300, 90, TENTHS, ONE)
    assert take is not None
    expected = np.floor((np.arange(300) + 0.5) * 0.3)
    np.testing.assert_array_equal(take.low + take.source, expected)


@given(st.integers(0, 14))
def test_native_label_of_an_aligned_patch_is_a_plain_slice(step: int) -> None:
    take = nearest(10 * step, 160, 90, TENTHS, TENTHS)
    assert take is not None
    assert take.contiguous
    assert (take.start, take.low, take.high) == (0, 3 * step, 3 * step + 48)


@given(
    offset=st.integers(-400, 400),
    size=st.integers(1, 400),
    layer=st.integers(1, 300),
    ratio=st.sampled_from([ONE, TENTHS, Fraction(1, 3), Fraction(2)]),
    out=st.sampled_from([ONE, TENTHS, Fraction(1, 2)]),
)
def test_each_output_pixel_takes_the_pixel_under_its_center(
    offset: int, size: int, layer: int, ratio: Fraction, out: Fraction
) -> None:
    take = nearest(offset, size, layer, ratio, out)
    centers = [
        (offset + (i + Fraction(1, 2)) / out) * ratio // 1 for i in range(size_at(size, out))
    ]
    inside = [i for i, index in enumerate(centers) if 0 <= index < layer]
    if take is None:
        assert not inside
        return
    assert (take.start, take.stop - 1) == (inside[0], inside[-1])
    assert [take.low + source for source in take.source] == [centers[i] for i in inside]
    assert take.source.max() < take.high - take.low


@pytest.mark.parametrize(('size', 'expected'), [(160, 48), (300, 90), (256, 77), (5, 2), (1, 0)])
def test_size_at_rounds_half_up(size: int, expected: int) -> None:
    assert size_at(size, TENTHS) == expected
