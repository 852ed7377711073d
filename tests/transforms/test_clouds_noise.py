"""The random field: its statistics, and that its parts fit together."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchgeo_cloudseg.transforms.clouds.hashing import combine, uniforms
from torchgeo_cloudseg.transforms.clouds.noise import (
    FILTERED,
    HASH_DEVIATION,
    SPLINE,
    Grid,
    PlaneNoise,
)
from torchgeo_cloudseg.transforms.clouds.white_noise import white_noise

NOISE = PlaneNoise(600.0, (2.7, 2.7), 50.0, 10.0)
PLACE = Grid(200, 240, (10.0, 10.0))


def energy_slope(field, low, high):
    """Slope of log E(k) over log k, for k in cycles per image."""
    size = field.shape[-1]
    taper = torch.hann_window(size)
    power = torch.fft.fft2((field - field.mean((1, 2), keepdim=True)) * taper * taper[:, None])
    power = power.abs().square().mean(0)
    wavenumber = torch.fft.fftfreq(size)[:, None].hypot(torch.fft.fftfreq(size)) * size
    ks = np.arange(low, high)
    energy = [power[(wavenumber >= k - 0.5) & (wavenumber < k + 0.5)].sum() for k in ks]
    return np.polyfit(np.log(ks), np.log(energy), 1)[0]


def test_kernels_have_the_stated_variance_and_wavelength():
    k = np.linspace(-6, 6, 240001)
    amplitude = np.sinc(k) ** 4
    for kernel in (SPLINE, FILTERED):
        assert (amplitude**2).sum() * (k[1] - k[0]) == pytest.approx(kernel.variance, rel=1e-4)
        peak = np.abs(k[(k**2 * amplitude**2).argmax()])
        assert 1 / peak == pytest.approx(kernel.wavelength, rel=0.01)
        for power in range(12):
            amplitude = amplitude * (4 + 2 * np.cos(2 * np.pi * k / 2**power)) / 6


def test_mean_zero_variance_one():
    field = NOISE.render(range(300), Grid(64, 64, (40.0, 40.0)))
    assert abs(field.mean()) < 0.02
    assert field.var() == pytest.approx(1, abs=0.1)
    # sums of uniform numbers are nearly normal
    assert (field > 1.2816).float().mean() == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize('exponent', [2.0, 2.7, 3.5])
def test_spectrum_has_the_exponent(exponent):
    noise = PlaneNoise(5000.0, (exponent, exponent), 50.0, 3.0)
    field = noise.render(range(40), Grid(300, 300, (3.0, 3.0)))
    assert energy_slope(field, 3, 40) == pytest.approx(-exponent, abs=0.25)


def test_exponent_changes_at_the_break_scale():
    place = Grid(300, 300, (3.0, 3.0))
    plain, broken = (
        PlaneNoise(5000.0, (2.0, small), 45.0, 3.0).render(range(40), place) for small in (2.0, 4.0)
    )
    # wavelengths of 900 to 225 m, and of 45 to 30 m
    assert energy_slope(broken, 1, 4) == pytest.approx(energy_slope(plain, 1, 4), abs=0.25)
    assert energy_slope(broken, 20, 30) < energy_slope(plain, 20, 30) - 0.7


def test_lattices_do_not_show():
    """Energy does not depend on direction, nor variance on the place in a lattice cell."""
    field = PlaneNoise(400.0, (2.7, 2.7), 50.0, 10.0).render(
        range(150), Grid(256, 256, (10.0,) * 2)
    )
    taper = torch.hann_window(256)
    power = torch.fft.fft2(field * taper * taper[:, None]).abs().square().mean(0)[:128, :128]
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing='ij')
    radius, angle = torch.hypot(y.float(), x.float()), torch.atan2(y.float(), x.float())
    ring = (radius > 4) & (radius < 24)
    diagonal = power[ring & ((angle - torch.pi / 4).abs() < 0.2)].mean()
    axial = power[ring & ((angle < 0.2) | (angle > torch.pi / 2 - 0.2))].mean()
    assert axial / diagonal == pytest.approx(1, abs=0.12)
    variance = field.var(0).view(8, 32, 8, 32).mean((0, 2))
    assert variance.std() / variance.mean() < 0.05


@settings(max_examples=25, deadline=None)
@given(
    row=st.integers(0, 150),
    column=st.integers(0, 150),
    height=st.integers(1, 50),
    width=st.integers(1, 90),
)
def test_a_window_is_a_part_of_the_whole(row, column, height, width):
    whole = NOISE.render([5], PLACE)[0]
    part = NOISE.render([5], PLACE.window(row, column, height, width))[0]
    expected = whole[row : row + height, column : column + width]
    torch.testing.assert_close(part, expected, atol=5e-6, rtol=0)


def test_windows_far_from_the_origin_fit_as_well():
    far = Grid(60, 60, (10.0, 10.0), top=3e6, left=7e6)
    whole, part = NOISE.render([5], far)[0], NOISE.render([5], far.window(13, 21, 30, 20))[0]
    torch.testing.assert_close(part, whole[13:43, 21:41], atol=5e-6, rtol=0)


def test_shift_moves_down_and_to_the_right():
    still = NOISE.render([3], PLACE)[0]
    again, moved = (field[0] for field in NOISE.render_pair([3], PLACE, [(70.0, -30.0)], 0))
    torch.testing.assert_close(again, still, atol=5e-6, rtol=0)
    torch.testing.assert_close(moved[7:, :-3], still[:-7, 3:], atol=5e-6, rtol=0)


@pytest.mark.parametrize('distance', [0.0, 300.0, 9000.0])
@pytest.mark.parametrize('smoothing', [0, 2, 9])
def test_what_two_views_share_is_what_each_has(distance, smoothing):
    """Near each other, they share lattices; far from each other, or smooth ones, fewer or none."""
    shift = [(distance, -distance / 2)]
    still, moved = NOISE.render_pair([4], PLACE, shift, smoothing)
    torch.testing.assert_close(still, NOISE.render([4], PLACE), atol=5e-6, rtol=0)
    # alone: the same place, seen from where nothing is shared
    far = Grid(200, 240, (10.0, 10.0), top=1e6 - shift[0][0], left=1e6 - shift[0][1])
    _, alone = NOISE.render_pair([4], far, [(1e6, 1e6)], smoothing)
    torch.testing.assert_close(moved, alone, atol=5e-6, rtol=0)


def test_finer_and_coarser_grids_show_the_same_field():
    field = NOISE.render([1], PLACE)
    finer = NOISE.render([1], PLACE.resampled(400, 480))
    coarser = NOISE.render([1], PLACE.resampled(60, 72))
    mean = torch.nn.functional.interpolate
    assert (mean(finer[None], scale_factor=0.5, mode='area')[0] - field).std() < 0.12
    assert (mean(field[None], size=(60, 72), mode='area')[0] - coarser).std() < 0.2


def test_seeds_are_independent():
    field = NOISE.render([0, 1, 2**63, 2**64 + 1], PLACE)
    torch.testing.assert_close(field[1], field[3], rtol=0, atol=0)
    correlation = torch.corrcoef(field[:3].flatten(1)).fill_diagonal_(0)
    assert correlation.abs().max() < 0.4
    assert NOISE.render([7], PLACE).var() > 0.2


def test_coefficients_are_white():
    """No direction, no pair of rows and no place has anything in common."""
    power, largest = np.zeros((128, 128)), []
    for seed in range(200):
        (numbers,) = white_noise(seed, (-50, 7), (128, 128))
        numbers = numbers / HASH_DEVIATION
        power += np.abs(np.fft.fft2(numbers)) ** 2 / numbers.size
        for lines in (numbers, numbers.T):
            largest.append(np.abs(np.corrcoef(lines) - np.eye(128)).max())
    power /= 200
    assert power.mean() == pytest.approx(1, abs=0.01)
    # the power of white noise is exponentially distributed
    assert power.std() == pytest.approx(200**-0.5, rel=0.1)
    assert power.max() < 1.4
    assert np.mean(largest) == pytest.approx(0.35, abs=0.03)


def test_numbers_do_not_depend_on_the_window():
    whole = white_noise(9, (-3, 40, 5, -8), (30, 20, 9, 12))
    part = white_noise(9, (-1, 41, 6, -8), (10, 5, 4, 3))
    np.testing.assert_array_equal(part[0], whole[0][2:12, 1:6])
    np.testing.assert_array_equal(part[1], whole[1][1:5, :3])


def test_hashing():
    numbers = np.array([uniforms(seed, 0, 3) for seed in range(2000)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    np.testing.assert_allclose(numbers.mean(0), 0.5, atol=0.03)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(3)).max() < 0.08
    # a sensor may have more bands than there are keys in a block
    np.testing.assert_array_equal(uniforms(7, 100, 500)[200:250], uniforms(7, 300, 50))
    assert len(np.unique(uniforms(7, 0, 1000))) == 1000
    # a change here would change every cloud that was ever drawn from a seed
    assert combine([1, -2, 3]) == 12056474070484764355
    assert combine([1, 2]) != combine([2, 1])
    assert combine([0]) != combine([0, 0])
