"""The random field: its statistics, and that its parts fit together."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg._random import combined_seed, seeded_generator
from torchgeo_cloudseg.transforms.clouds.random_field import (
    BYTE_DEVIATION,
    LARGEST_SIDES,
    Grid,
    RandomField,
    Spectrum,
    tori,
)

SPECTRUM = Spectrum(600.0, (2.7, 2.7), 50.0)
PLACE = Grid(200, 240, (10.0, 10.0))


def draw(seeds, grid=PLACE, spectrum=SPECTRUM):
    return RandomField.draw(spectrum, grid, seeds)


def render(seeds, grid=PLACE, spectrum=SPECTRUM):
    return draw(seeds, grid, spectrum).on(grid)


def square(size, pixel_size):
    return Grid(size, size, (pixel_size, pixel_size))


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


def test_mean_zero_variance_one():
    field = render(range(300), square(64, 40.0))
    assert abs(field.mean()) < 0.02
    assert field.var() == pytest.approx(1, abs=0.1)
    # sums of many waves are normal
    assert (field > 1.2816).float().mean() == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize(('size', 'pixel_size'), [(1, 3.0), (20, 0.5), (64, 3.0)])
def test_small_places_have_the_variance_of_waves_longer_than_they_are(size, pixel_size):
    field = render(range(600), square(size, pixel_size), Spectrum(2500.0, (2.7, 2.9), 50.0))
    center = field[:, size // 2, size // 2]
    assert center.mean() == pytest.approx(0, abs=0.12)
    assert center.var() == pytest.approx(1, abs=0.18)
    assert (center.abs() > 1.645).float().mean() == pytest.approx(0.1, abs=0.035)


@pytest.mark.parametrize('exponent', [2.0, 2.7, 3.5])
def test_spectrum_has_the_exponent(exponent):
    spectrum = Spectrum(5000.0, (exponent, exponent), 50.0)
    field = render(range(40), square(300, 3.0), spectrum)
    assert energy_slope(field, 3, 40) == pytest.approx(-exponent, abs=0.25)
    # down to the smallest scales
    assert energy_slope(field, 40, 120) == pytest.approx(-exponent, abs=0.25)


def test_exponent_changes_at_the_break_scale():
    plain, broken = (
        render(range(40), square(300, 3.0), Spectrum(5000.0, (2.0, small), 45.0))
        for small in (2.0, 4.0)
    )
    # wavelengths of 900 to 225 m, and of 45 to 30 m
    assert energy_slope(broken, 1, 4) == pytest.approx(energy_slope(plain, 1, 4), abs=0.25)
    assert energy_slope(broken, 20, 30) < energy_slope(plain, 20, 30) - 0.7


def test_neither_axes_nor_nodes_show():
    """Energy does not depend on direction, nor variance on the place."""
    field = render(range(150), square(256, 10.0), Spectrum(400.0, (2.7, 2.7), 50.0))
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


@pytest.mark.parametrize('feature_size', [300.0, 5000.0])
def test_opposite_edges_do_not_resemble_each_other(feature_size):
    field = render(range(300), square(128, 10.0), Spectrum(feature_size, (2.7, 2.7), 50.0))
    # what long waves have in common there is the same at the distance of an edge to the middle
    edges = (field[:, :, 0] - field[:, :, -1]).square().mean()
    middle = (field[:, :, 0] - field[:, :, 64]).square().mean()
    assert edges > 0.93 * middle


@given(
    row=st.integers(0, 150),
    column=st.integers(0, 150),
    height=st.integers(1, 50),
    width=st.integers(1, 90),
)
def test_a_window_is_a_part_of_the_whole(row, column, height, width):
    field = draw([5])
    whole, part = field.on(PLACE)[0], field.on(PLACE.window(row, column, height, width))[0]
    expected = whole[row : row + height, column : column + width]
    torch.testing.assert_close(part, expected, atol=5e-6, rtol=0)


def test_windows_far_from_the_origin_fit_as_well():
    field, far = draw([5]), Grid(60, 60, (10.0, 10.0), top=3e6, left=7e6)
    whole, part = field.on(far)[0], field.on(far.window(13, 21, 30, 20))[0]
    torch.testing.assert_close(part, whole[13:43, 21:41], atol=5e-6, rtol=0)


def test_places_larger_than_a_torus_do_not_repeat_themselves():
    place = square(20 * LARGEST_SIDES[0], 10.0)
    field = draw([0], place, Spectrum(500.0, (2.7, 2.7), 50.0))
    here = field.on(place.window(0, 0, 600, 600))
    assert here.var() == pytest.approx(1, abs=0.3)
    for side in LARGEST_SIDES:
        there = field.on(place.window(0, side, 600, 600))
        assert torch.corrcoef(torch.stack([here.flatten(), there.flatten()]))[0, 1] < 0.75
    far = field.on(place.window(5000, 9000, 600, 600))
    assert torch.corrcoef(torch.stack([here.flatten(), far.flatten()]))[0, 1].abs() < 0.3
    # a window across the edge of a torus
    whole = field.on(place.window(LARGEST_SIDES[0] - 50, 1900, 100, 100))
    part = field.on(place.window(LARGEST_SIDES[0] - 10, 1930, 20, 30))
    torch.testing.assert_close(part, whole[:, 40:60, 30:60], atol=5e-6, rtol=0)
    assert (whole[:, 1:] - whole[:, :-1]).abs().amax() < 8 * (whole[:, 1:] - whole[:, :-1]).std()


def test_shift_moves_down_and_to_the_right():
    field = draw([3, 4])
    moved = field.moved(torch.tensor([70.0, 0.0]), torch.tensor([-30.0, 3000.0]), 0.0)
    still, shifted = field.on(PLACE), moved.on(PLACE)
    torch.testing.assert_close(shifted[0, 7:, :-3], still[0, :-7, 3:], atol=2e-5, rtol=0)
    # further than the place is wide: what lies outside of it comes in
    outside = field.on(Grid(200, 240, (10.0, 10.0), left=-3000.0))
    torch.testing.assert_close(shifted[1], outside[1], atol=2e-5, rtol=0)


def test_between_pixels_lies_what_a_shift_brings_there():
    """Off its nodes a field is a sum of waves, which must be what the Fourier transform sums up."""
    field = draw([3])
    shifted = field.moved(torch.tensor([4.0]), torch.tensor([-2.5]), 0.0).on(PLACE)
    between = field.on(Grid(200, 240, (10.0, 10.0), top=-4.0, left=2.5))
    torch.testing.assert_close(between, shifted, atol=2e-5, rtol=0)


def test_blur_smooths():
    field = draw([3])
    still = torch.zeros(1)
    sharp, smooth = field.on(PLACE), field.moved(still, still, 20.0).on(PLACE)
    kernel = torch.exp(-torch.arange(-12.0, 13).square() / 8)
    kernel = torch.outer(kernel, kernel) / kernel.sum() ** 2
    expected = torch.nn.functional.conv2d(sharp, kernel[None, None])
    torch.testing.assert_close(smooth[:, 12:-12, 12:-12], expected, atol=1e-3, rtol=0)


def test_finer_and_coarser_grids_show_the_same_field():
    drawn = draw([1])
    field = drawn.on(PLACE)
    finer = drawn.on(PLACE.resampled(400, 480))
    coarser = drawn.on(PLACE.resampled(60, 72))
    mean = torch.nn.functional.interpolate
    assert (mean(finer[None], scale_factor=0.5, mode='area')[0] - field).std() < 0.12
    assert (mean(field[None], size=(60, 72), mode='area')[0] - coarser).std() < 0.2


def test_seeds_are_independent():
    field = render([0, 1, 2**63, 2**64 + 1])
    torch.testing.assert_close(field[1], field[3], rtol=0, atol=0)
    correlation = torch.corrcoef(field[:3].flatten(1)).fill_diagonal_(0)
    assert correlation.abs().max() < 0.4
    assert render([7]).var() > 0.2


@pytest.mark.parametrize('seeded', [True, False])
def test_coefficients_are_white(seeded):
    """No wave is favored, and none has anything to do with another."""
    _, (amplitude, *_) = tori(SPECTRUM, PLACE, torch.device('cpu'))
    field = RandomField.draw(SPECTRUM, PLACE, range(200), seeded=seeded)
    borne = amplitude.flatten() > 0
    numbers = torch.view_as_real(field.coefficients[0]).flatten(1)[:, borne]
    numbers = numbers / amplitude.flatten()[borne] / BYTE_DEVIATION
    assert numbers.mean(0).mean() == pytest.approx(0, abs=2e-3)
    assert numbers.var(0).mean() == pytest.approx(1, abs=5e-3)
    some = torch.corrcoef(numbers[:, :512].T).fill_diagonal_(0)
    assert some.abs().max() < 0.4
    assert torch.corrcoef(numbers).fill_diagonal_(0).abs().max() < 0.05


def test_seeded_numbers():
    numbers = np.array([seeded_generator(seed, 0).random(3) for seed in range(2000)])
    np.testing.assert_allclose(numbers.mean(0), 0.5, atol=0.03)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(3)).max() < 0.08
    assert np.abs(np.corrcoef(numbers[1:, 0], numbers[:-1, 0])[0, 1]) < 0.08
    # a change here would change every cloud that was ever drawn from a seed
    assert combined_seed([1, -2, 3]) == 17100590183266864179
    assert seeded_generator(2**64 + 5, 1).bytes(4).hex() == '8564c6e9'
    assert combined_seed([1, 2]) != combined_seed([2, 1])
    assert combined_seed([0]) != combined_seed([0, 0])
    assert combined_seed([1, 23]) != combined_seed([12, 3])
