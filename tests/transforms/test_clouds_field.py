"""Clouds over a place: cover, thickness, shadows, color; on any image of the place."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_cloudseg.transforms import PRESETS, CloudField, CloudRecipe, add_clouds
from torchgeo_cloudseg.transforms.clouds.cloud_field import shadow_shifts
from torchgeo_cloudseg.transforms.clouds.opacity import OpacityCurve
from torchgeo_cloudseg.transforms.clouds.recipe import opacity

GROUND = torch.tensor([0.05, 0.08, 0.07, 0.3])[:, None, None].expand(4, 256, 256)


def draw(seeds=(0,), size=(256, 256), pixel_size=10.0, preset='broken', **changes):
    return CloudField.draw(CloudRecipe.preset(preset, **changes), seeds, size, pixel_size)


@given(
    preset=st.sampled_from(sorted(PRESETS)),
    cover=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**64),
    height=st.integers(40, 300),
    width=st.integers(40, 300),
)
def test_cover_is_what_was_asked_for(preset, cover, seed, height, width):
    layers = draw([seed], (height, width), preset=preset, cover=cover).layers()
    assert layers.mask.float().mean() == pytest.approx(cover, abs=0.01)


def test_cover_is_met_closely():
    covers = np.linspace(0.05, 0.95, 10)
    errors = [
        (draw(range(10), cover=cover).layers().mask.float().mean((1, 2)) - cover).abs().max()
        for cover in covers
    ]
    assert max(errors) < 0.005
    assert np.mean(errors) < 0.002


def test_every_sample_draws_its_own_cover():
    cover = draw(range(60), (64, 64), cover=(0.2, 0.6)).layers().mask.float().mean((1, 2))
    assert cover.min() > 0.19
    assert cover.max() < 0.61
    assert cover.std() == pytest.approx(0.4 / 12**0.5, rel=0.3)


def test_no_cloud_and_nothing_but_cloud():
    clear = draw(cover=0.0).apply(GROUND)
    assert (clear.mask == 0).all()
    assert (clear.alpha == 0).all()
    torch.testing.assert_close(clear.image, GROUND, rtol=0, atol=0)
    assert (draw(cover=1.0).layers().mask == 1).all()


def test_natural_cover_varies_around_one_half():
    cover = draw(range(80), (64, 64), cover=None, feature_size=3000.0).layers().mask.float()
    cover = cover.mean((1, 2))
    assert cover.mean() == pytest.approx(0.5, abs=0.12)
    assert cover.std() > 0.2


@pytest.mark.parametrize('thin', [0.2, 0.5, 0.8])
@pytest.mark.parametrize('thickness', [15.0, 60.0])
def test_thin_and_thick_cloud_are_mixed_as_asked(thin, thickness):
    layers = draw(range(6), cover=0.5, thin=thin, thickness=thickness, haze=0.02).layers()
    core = opacity(thickness)
    assert layers.alpha.max() <= core
    share = (layers.alpha[layers.mask] < 0.5 * core).float().mean()
    assert share == pytest.approx(thin, abs=0.02)


def test_haze_is_the_opacity_of_the_edge_and_fades_outside():
    layers = draw(range(4), cover=0.4, haze=0.1).layers()
    assert layers.alpha[layers.mask].min() == pytest.approx(0.1, abs=0.003)
    outside = layers.alpha[~layers.mask]
    assert outside.max() == pytest.approx(0.1, abs=0.003)
    assert 0 < outside.min() < 0.01
    clear = draw(range(4), cover=0.4, haze=0.0).layers()
    assert (clear.alpha[~clear.mask] == 0).all()
    assert (clear.alpha[clear.mask] > 0).all()


def test_every_sample_has_its_own_haze():
    recipe = CloudRecipe.preset('broken', haze=(0.0, 0.2), cover=0.4)
    field = CloudField.draw(recipe, range(4), (128, 128), 10.0)
    layers = field.layers()
    for index, haze in enumerate(field.parameters['haze'].tolist()):
        alpha, mask = layers.alpha[index], layers.mask[index]
        assert alpha[mask].min() == pytest.approx(haze, abs=0.005)
    # a recipe that has haze only in some samples, or none
    clear, hazy = draw([0], haze=0.0, cover=0.4), draw([1], haze=0.1, cover=0.4)
    parameters = {
        name: torch.cat([clear.parameters[name], hazy.parameters[name]])
        for name in clear.parameters
    }
    level, half = (
        torch.cat([getattr(sky.curve, name).flatten() for sky in (clear, hazy)])
        for name in ('level', 'half')
    )
    curve = OpacityCurve.through(level, half, parameters)
    both = torch.cat([clear.drawn[0], hazy.drawn[0]])
    expected = [sky.layers() for sky in (clear, hazy)]
    torch.testing.assert_close(curve.alpha(both), torch.cat([sky.alpha for sky in expected]))
    assert torch.equal(curve.mask(both), torch.cat([sky.mask for sky in expected]))
    # a logistic function of the field
    sky = hazy.curve
    logistic = torch.sigmoid(sky.steepness * (hazy.drawn[0] - sky.half)) * sky.ceiling
    torch.testing.assert_close(expected[1].alpha, logistic)


def test_opacity_follows_optical_thickness():
    # two-stream approximation, asymmetry parameter 0.85
    for thickness in (5.0, 13.333333, 60.0):
        assert opacity(thickness) == pytest.approx(0.15 * thickness / (2 + 0.15 * thickness))


@pytest.mark.parametrize(
    ('azimuth', 'rows', 'columns'),
    [(90, 0, -1), (180, -1, 0), (270, 0, 1), (0, 1, 0), (135, -(0.5**0.5), -(0.5**0.5))],
)
@pytest.mark.parametrize('zenith', [20.0, 45.0])
def test_shadows_are_the_clouds_displaced_away_from_the_sun(azimuth, rows, columns, zenith):
    """The sun in the east throws shadows to the west, and so on, height * tan(zenith) far."""
    field = draw(
        [3],
        cover=0.4,
        cloud_height=300.0,
        sun_zenith=zenith,
        sun_azimuth=float(azimuth),
        feature_size=300.0,
        shadow_strength=1.0,
    )
    layers = field.layers()
    alpha, shadow = (layer[0] - layer.mean() for layer in (layers.alpha, layers.shadow))
    spectrum = torch.fft.rfft2(shadow) * torch.fft.rfft2(alpha).conj()
    peak = int(torch.fft.irfft2(spectrum, s=alpha.shape).argmax())
    found = [(index + 128) % 256 - 128 for index in divmod(peak, 256)]
    distance = 300 * np.tan(np.deg2rad(zenith)) / 10
    np.testing.assert_allclose(found, [rows * distance, columns * distance], atol=1.01)
    np.testing.assert_allclose(
        torch.cat(shadow_shifts(field.parameters)) / 10,
        [rows * distance, columns * distance],
        atol=1e-9,
    )


def test_shadow_has_the_strength_asked_for():
    strong = draw([1], shadow_strength=0.8, cloud_height=100.0).layers()
    weak = draw([1], shadow_strength=0.4, cloud_height=100.0).layers()
    torch.testing.assert_close(strong.shadow, 2 * weak.shadow)
    # the sun overhead throws the shadow right below the cloud
    below = draw([1], pixel_size=3.0, shadow_strength=1.0, sun_zenith=0.0).layers()
    assert torch.corrcoef(torch.stack([below.shadow.flatten(), below.alpha.flatten()]))[0, 1] > 0.9


def test_image_is_shaded_ground_under_cloud():
    field = draw([5], band_variation=0.0, reflectance_variation=0.0, cloud_reflectance=0.7)
    cloudy = field.apply(GROUND)
    expected = (1 - cloudy.alpha) * GROUND * (1 - cloudy.shadow) + cloudy.alpha * 0.7
    torch.testing.assert_close(cloudy.image, expected)
    assert cloudy.mask.dtype == torch.long
    assert cloudy.mask.shape == (256, 256)
    assert cloudy.alpha.shape == cloudy.shadow.shape == (1, 256, 256)


def test_cloud_reflectance_per_band_and_its_variation():
    field = draw(range(300), (2, 2), cloud_reflectance=(0.6, 0.65, 0.7, 0.75))
    reflectance = field.reflectance(4)
    torch.testing.assert_close(
        reflectance.mean(0), torch.tensor([0.6, 0.65, 0.7, 0.75]), atol=0.01, rtol=0
    )
    assert (
        reflectance / torch.tensor([0.6, 0.65, 0.7, 0.75]) - 1
    ).abs().max() <= 0.08 + 0.03 + 0.01
    with pytest.raises(ValueError, match='4 numbers, but the image has 3 bands'):
        field.reflectance(3)
    assert field.reflectance(2, cloud_reflectance=0.5).shape == (300, 2)


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
def test_floating_point_dtypes_are_kept(dtype):
    expected = draw([2]).apply(GROUND).image
    image = draw([2]).apply(GROUND.to(dtype)).image
    assert image.dtype == dtype
    torch.testing.assert_close(image.float(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ('dtype', 'white'),
    [(torch.uint8, 255), (torch.int16, 10000), (torch.uint16, 10000), (torch.int32, 10000)],
)
def test_integers_are_scaled_and_rounded(dtype, white):
    expected = draw([2]).apply(GROUND).image * white
    image = draw([2]).apply((GROUND * white).round().to(dtype), data_range=(0, white)).image
    assert image.dtype == dtype
    assert (image.double() - expected).abs().max() <= 1.01


def test_integers_are_clipped_to_their_range():
    white = torch.full((3, 64, 64), 250, dtype=torch.uint8)
    recipe = CloudRecipe.preset('thick', cover=1.0, cloud_reflectance=1.3)
    image = add_clouds(white, recipe, seeds=1, data_range=(0, 255)).image
    assert image.max() == 255
    assert image.min() > 100


def test_black_level_takes_part_in_the_scaling():
    field = draw([2])
    shifted = field.apply(GROUND * 5000 - 1000, data_range=(-1000, 4000)).image
    torch.testing.assert_close(
        (shifted + 1000) / 5000, field.apply(GROUND).image, atol=1e-5, rtol=0
    )


def test_nan_and_nodata_stay():
    image = GROUND.clone()
    image[:, 10:20] = torch.nan
    image[2, 30:40] = torch.nan
    image[:, 50:60] = -9999.0
    image[1, 70:80] = -9999.0
    with pytest.raises(ValueError, match='nodata='):
        draw([2]).apply(image)
    image[1, 70:80] = 0.08
    cloudy, expected = draw([2]).apply(image, nodata=-9999.0), draw([2]).apply(GROUND)
    assert torch.equal(cloudy.image.isnan(), image.isnan())
    assert (cloudy.image[:, 50:60] == -9999).all()
    torch.testing.assert_close(cloudy.image[:, 60:], expected.image[:, 60:])
    # the sky does not know about the sensor's gaps
    assert torch.equal(cloudy.mask, expected.mask)
    assert draw([2]).apply(torch.full((1, 8, 8), torch.nan)).image.isnan().all()


def test_dark_ground_in_a_shadow_is_still_data():
    image = torch.ones(3, 64, 64, dtype=torch.uint8)
    image[:, :8] = 0
    field = draw([2], (64, 64), cover=0.5, shadow_strength=1.0)
    cloudy = field.apply(image, (0, 255), nodata=0).image
    assert (field.apply(image, (0, 255)).image[:, 8:] == 0).all(0).any()
    assert torch.equal((cloudy == 0).all(0), (image == 0).all(0))


def test_zero_in_one_band_is_not_nodata():
    image = GROUND.clone()
    image[0] = 0
    assert draw([2], cover=0.9).apply(image, nodata=0.0).image[0].max() > 0.3


def test_same_clouds_at_other_resolutions_and_on_other_sensors():
    field = draw([4], (300, 300), 3.0, 'm3mcr', cover=0.4)
    fine = field.apply(torch.full((4, 300, 300), 0.1))
    coarse = field.apply(torch.full((1, 90, 90), 20.0), data_range=(0, 200), cloud_reflectance=0.5)
    alpha = torch.nn.functional.interpolate(fine.alpha[None], size=(90, 90), mode='area')[0]
    shadow = torch.nn.functional.interpolate(fine.shadow[None], size=(90, 90), mode='area')[0]
    assert (coarse.alpha - alpha).abs().mean() < 0.02
    assert (coarse.shadow - shadow).abs().mean() < 0.02
    assert coarse.mask.float().mean() == pytest.approx(0.4, abs=0.03)
    finer = field.apply(torch.full((4, 600, 600), 0.1))
    alpha = torch.nn.functional.interpolate(finer.alpha[None], size=(300, 300), mode='area')[0]
    assert (fine.alpha - alpha).abs().mean() < 0.02


@pytest.mark.parametrize('preset', ['broken', 'm3mcr'])
def test_large_pixels_show_the_mean_of_the_clouds_that_they_cover(preset):
    field = draw([7], (300, 300), preset=preset, cover=0.3)
    fine, coarse = (field.apply(torch.full((2, size, size), 0.1)) for size in (300, 30))
    for name in ('alpha', 'shadow', 'image'):
        mean = torch.nn.functional.avg_pool2d(getattr(fine, name), 10)
        if name == 'image':  # the product of shadow and opacity is averaged, too
            assert (coarse.image - mean).abs().max() < 0.02
        else:
            torch.testing.assert_close(getattr(coarse, name), mean, atol=1e-4, rtol=0)
    assert coarse.mask.float().mean() == pytest.approx(0.3, abs=0.05)


def test_skies_one_by_one():
    field = draw([4, 5], (32, 32))
    assert [sky.seeds for sky in field] == [(4,), (5,)]
    assert field[-1].seeds == (5,)
    with pytest.raises(IndexError):
        field[2]


def test_one_sky_on_many_images():
    field = draw([4], (64, 64))
    batch = field.apply(torch.rand(3, 2, 64, 64))
    assert batch.mask.shape == (3, 64, 64)
    assert torch.equal(batch.alpha[0], batch.alpha[2])
    with pytest.raises(ValueError, match='3 images for a field of 2 skies'):
        draw([4, 5], (64, 64)).apply(torch.rand(3, 2, 64, 64))


@pytest.mark.parametrize('size', [(1, 1), (1, 300), (7, 3), (130, 61)])
def test_odd_sizes(size):
    cloudy = add_clouds(torch.full((2, *size), 0.1), 'm3mcr', seeds=3)
    assert cloudy.image.shape == (2, *size)
    assert cloudy.mask.shape == size
    assert cloudy.image.isfinite().all()


def test_single_pixels_are_cloudy_as_often_as_asked():
    assert draw(range(400), (1, 1), cover=0.3).layers().mask.float().mean() == pytest.approx(
        0.3, abs=0.07
    )


def test_pixels_need_not_be_square():
    field = draw([1], (100, 200), (10.0, 5.0), cover=0.4)
    assert field.layers().mask.shape == (1, 100, 200)


@pytest.fixture(scope='module')
def real_like():
    recipe = PRESETS['m3mcr']
    return CloudField.draw(recipe, range(40), (300, 300), 3.0)


@pytest.mark.slow
@pytest.mark.parametrize('pixel_size', [3.0, 10.0])
def test_m3mcr_has_the_spectrum_of_real_clouds(pixel_size):
    alpha = CloudField.draw(PRESETS['m3mcr'], range(40), (300, 300), pixel_size).layers().alpha
    taper = torch.hann_window(300)
    power = torch.fft.fft2((alpha - alpha.mean((1, 2), keepdim=True)) * taper * taper[:, None])
    power = power.abs().square()
    wavenumber = torch.fft.fftfreq(300)[:, None].hypot(torch.fft.fftfreq(300)) * 300
    # whatever the range of scales, down to two pixels
    for low, high in ((2, 60), (3, 100), (1, 150), (30, 100)):
        ks = np.arange(low, high + 1)
        rings = [(wavenumber >= k - 0.5) & (wavenumber < k + 0.5) for k in ks]
        energy = torch.stack([power[:, ring].sum(1) for ring in rings]).log().numpy()
        slopes = np.polyfit(np.log(ks), energy, 1)[0]
        assert -3.3 < slopes.mean() < -2.3, (low, high)


def test_m3mcr_has_the_thickness_and_color_of_real_clouds(real_like):
    dark = torch.tensor([0.06, 0.08, 0.1, 0.25])[:, None, None].expand(40, 4, 300, 300)
    cloudy = real_like.apply(dark)
    assert (cloudy.alpha[:, 0][cloudy.mask == 1] < 0.5).float().mean() > 0.6
    thickest = cloudy.image.mean(1).flatten(1).argmax(1)
    spectra = cloudy.image.flatten(2).gather(2, thickest[:, None, None].expand(-1, 4, 1))[..., 0]
    assert spectra.mean() > 0.5
    assert spectra.mean() < 0.75
    assert ((spectra.amax(1) - spectra.amin(1)) / spectra.mean(1)).mean() < 0.09
    # opacity as one would estimate it from a pair of images
    estimate = (cloudy.image - dark) / (0.7 - dark)
    for sample in estimate[:5]:
        assert torch.corrcoef(sample.flatten(1)).min() > 0.9


def test_m3mcr_resembles_a_real_cloud(real_root):
    """Opacity of the real patch, from its blue band, which shows the ground least."""
    folder = real_root / 'train'
    name = 'planet_{0}_fall/planet_{0}_fall_1/planet_{0}_fall_1_p_457.tif'
    cloudy, clear = (
        rasterio.open(folder / name.format(kind)).read(1) / 1e4 for kind in ('cloudy', 'cloudfree')
    )
    real = (cloudy - clear) / (0.7 - clear)
    field = CloudField.draw(CloudRecipe.preset('m3mcr', cover=0.48), range(30), (300, 300), 3.0)
    ours = field.layers().alpha.numpy()
    for quantile, tolerance in ((0.5, 0.12), (0.9, 0.15), (0.99, 0.2)):
        assert np.quantile(ours, quantile) == pytest.approx(
            np.quantile(real, quantile), abs=tolerance
        )


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'cover': 30}, 'a share, not a percentage'),
        ({'cover': -0.1}, 'cover=-0.1'),
        ({'cover': (0.6, 0.2)}, r'expected a number, or \(lower, upper\)'),
        ({'cover': (0.1, 0.2, 0.3)}, 'cover'),
        ({'cloud_reflectance': 180}, 'not a digital number'),
        ({'sun_zenith': 90.0}, 'lower sun'),
        ({'thickness': 0.0}, 'optical thickness'),
        ({'thin': 1.0}, 'thin=1.0'),
        ({'haze': 0.45, 'thickness': 10.0}, 'Lower haze or raise thickness'),
        ({'spectral_exponent': 1.0}, 'spectral_exponent'),
        ({'spectral_exponent': (2.0, 2.0, 2.0)}, 'spectral_exponent'),
        ({'feature_size': 0.0}, 'feature_size'),
        ({'feature_size': float('nan')}, 'feature_size'),
    ],
)
def test_recipes_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        CloudRecipe.preset('broken', **changes)


def test_presets():
    assert set(PRESETS) == {'thin', 'thick', 'broken', 'overcast', 'm3mcr'}
    with pytest.raises(ValueError, match=r"preset='cirrus'.*'thin'"):
        CloudRecipe.preset('cirrus')
    alpha = {name: draw(range(8), (128, 128), preset=name).layers().alpha for name in PRESETS}
    assert alpha['thin'].max() < 0.6 < alpha['thick'].max()
    assert draw(range(8), preset='overcast').layers().mask.float().mean() > 0.94
    with pytest.raises(TypeError):
        PRESETS['mine'] = replace(PRESETS['thin'])


@pytest.mark.parametrize(
    ('image', 'options', 'message'),
    [
        (torch.rand(4, 32, 32) * 255, {}, 'Pass the data_range'),
        (torch.rand(4, 32, 32) * 10000, {}, 'Pass the data_range'),
        (torch.randn(4, 32, 32) * 2, {}, 'Pass the data_range'),
        (torch.rand(4, 32, 32), {'data_range': (0, 255)}, 'scaled to 0..1 already'),
        (torch.ones(4, 32, 32, dtype=torch.uint8), {}, 'this one has integers'),
        (torch.arange(4.0).expand(4, 32, 4), {}, 'whole numbers up to 3'),
        (torch.ones(4, 32, 32, dtype=torch.bool), {}, 'torch.bool'),
        (torch.rand(4, 32, 32), {'data_range': (1, 0)}, 'black < white'),
        (torch.rand(4, 32, 32), {'data_range': (0, float('nan'))}, 'black < white'),
        (torch.full((4, 32, 32), float('inf')), {}, 'cannot be reflectances'),
        (torch.rand(32, 32), {}, r'shape \(32, 32\)'),
        (torch.rand(4, 0, 32), {}, 'expected'),
        (torch.rand(2, 4, 32, 32), {'seeds': 3}, '1 seeds for 2 images'),
        (torch.rand(4, 32, 32), {'pixel_size': 0.0}, 'pixel size above 0'),
    ],
)
def test_images_are_checked(image, options, message):
    with pytest.raises(ValueError, match=message):
        add_clouds(image, **options)


@pytest.mark.parametrize('count', [1, 3])
def test_gradients_pass_to_the_ground(count):
    ground = GROUND.expand(count, -1, -1, -1).clone().requires_grad_()
    cloudy = draw(range(count), cover=0.4).apply(ground)
    cloudy.image.sum().backward()
    expected = (1 - cloudy.alpha) * (1 - cloudy.shadow)
    torch.testing.assert_close(ground.grad, expected.expand_as(ground))
