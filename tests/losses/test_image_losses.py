"""Charbonnier and hint loss: golden numbers, invariants, half precision."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_cloudseg.losses import (
    ClearSkyHintLoss,
    CloudCharbonnierLoss,
    clear_sky_hint_loss,
    cloud_charbonnier_loss,
)


@pytest.fixture(scope='module')
def inputs() -> dict[str, Tensor]:
    """The inputs of losses.npz, as the README of the golden numbers gives them."""
    g = torch.Generator().manual_seed(1)
    x = torch.rand(2, 4, 32, 32, generator=g)
    y = torch.rand(2, 4, 32, 32, generator=g)
    m = (torch.rand(2, 32, 32, generator=g) > 0.6).float()
    f_s = torch.randn(2, 16, 32, 32, generator=g)
    f_t = torch.randn(2, 16, 32, 32, generator=g)
    return {'x': x, 'y': y, 'm': m, 'f_s': f_s, 'f_t': f_t}


@pytest.mark.parametrize('dtype', [torch.bool, torch.long, torch.uint8, torch.float32])
@pytest.mark.parametrize(
    ('name', 'loss', 'first', 'second'),
    [
        ('charbonnier', CloudCharbonnierLoss(), 'x', 'y'),
        ('hint', ClearSkyHintLoss(), 'f_s', 'f_t'),
    ],
)
def test_golden(golden: Path, inputs, name, loss, first, second, dtype) -> None:
    recorded = np.load(golden / 'losses.npz')
    x = inputs[first].clone().requires_grad_()
    value = loss(x, inputs[second], inputs['m'].to(dtype))
    value.backward()
    np.testing.assert_allclose(value.item(), recorded[name], rtol=1e-6)
    # relative to each element, down to a millionth of the largest
    expected = recorded[f'{name}_grad']
    np.testing.assert_allclose(x.grad, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_error_under_clouds_counts_six_times(inputs) -> None:
    x, y = inputs['x'], inputs['y']
    clear = cloud_charbonnier_loss(x, y, torch.zeros(2, 32, 32))
    cloudy = cloud_charbonnier_loss(x, y, torch.ones(2, 32, 32))
    torch.testing.assert_close(cloudy, 6 * clear)


def test_half_a_cloud_counts_half(inputs) -> None:
    x, y = inputs['x'], inputs['y']
    none, half, full = (
        cloud_charbonnier_loss(x, y, torch.full((2, 32, 32), cover)) for cover in (0.0, 0.5, 1.0)
    )
    torch.testing.assert_close(half, (none + full) / 2)


def test_hint_ignores_clouds_and_teacher_gets_no_gradient(inputs) -> None:
    student = inputs['f_s'].clone().requires_grad_()
    teacher = inputs['f_t'].clone().requires_grad_()
    ClearSkyHintLoss()(student, teacher, inputs['m']).backward()
    under_clouds = inputs['m'].bool().unsqueeze(1).expand_as(student)
    assert teacher.grad is None
    assert (student.grad[under_clouds] == 0).all()
    assert (student.grad[~under_clouds] != 0).all()


def test_hint_everywhere_is_the_mean_squared_error(inputs) -> None:
    loss = ClearSkyHintLoss(clear_only=False)(inputs['f_s'], inputs['f_t'], inputs['m'])
    torch.testing.assert_close(loss, torch.nn.functional.mse_loss(inputs['f_s'], inputs['f_t']))


@given(seed=st.integers(0, 2**31), cover=st.floats(0, 1))
def test_hint_splits_into_clear_and_cloudy(seed: int, cover: float) -> None:
    g = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 2, 3, 8, 8, generator=g, dtype=torch.float64)
    mask = torch.rand(2, 8, 8, generator=g) < cover
    clear = clear_sky_hint_loss(student, teacher, mask)
    cloudy = clear_sky_hint_loss(student, teacher, ~mask)
    everywhere = clear_sky_hint_loss(student, teacher, mask, clear_only=False)
    torch.testing.assert_close(clear + cloudy, everywhere)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('autocast', [False, True])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype, autocast: bool) -> None:
    # 1e-4 squared is 0 in float16, and 1e-6 is not distinct from 1e-6 + 1e-8 in bfloat16
    a = torch.full((1, 4, 16, 16), 1e-4, dtype=dtype)
    b = torch.zeros_like(a)
    mask = torch.zeros(1, 16, 16, dtype=torch.long)
    exact = a.double()
    with torch.autocast('cpu', dtype=dtype, enabled=autocast):
        reconstruction = cloud_charbonnier_loss(a, b, mask)
        hint = clear_sky_hint_loss(a, b, mask)
    assert reconstruction.dtype == hint.dtype == torch.float32
    torch.testing.assert_close(
        reconstruction.double(), (exact**2 + 1e-6).pow(0.45).mean(), rtol=1e-5, atol=0
    )
    torch.testing.assert_close(hint.double(), (exact**2).mean(), rtol=1e-5, atol=0)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_gradient_returns_in_the_dtype_of_the_image(dtype: torch.dtype) -> None:
    x = torch.rand(1, 2, 8, 8).to(dtype).requires_grad_()
    cloud_charbonnier_loss(x, torch.zeros(1, 2, 8, 8, dtype=dtype), torch.ones(1, 8, 8)).backward()
    assert x.grad.dtype == dtype
    assert x.grad.isfinite().all()


def test_gradients_are_derivatives() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 1, 2, 3, 3, generator=g, dtype=torch.float64)
    mask = torch.rand(1, 3, 3, generator=g) > 0.5
    x.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cloud_charbonnier_loss(x, y, mask), x)
    assert torch.autograd.gradcheck(lambda x: clear_sky_hint_loss(x, y, mask), x)


@pytest.mark.parametrize('loss', [CloudCharbonnierLoss(), ClearSkyHintLoss()])
def test_shape_errors_say_what_was_found(loss) -> None:
    image = torch.zeros(2, 4, 8, 8)
    with pytest.raises(ValueError, match=r'\(2, 4, 8, 8\) and \(2, 4, 8, 9\)'):
        loss(image, torch.zeros(2, 4, 8, 9), torch.zeros(2, 8, 8))
    with pytest.raises(ValueError, match=r'= \(2, 8, 8\).*found \(2, 1, 8, 8\)'):
        loss(image, image, torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match=r'one shape \(B, C, H, W\)'):
        loss(image[0], image[0], torch.zeros(8, 8))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'cloud_weight': -1}, 'cloud_weight'),
        ({'epsilon': 0}, 'epsilon'),
        ({'exponent': 0}, 'exponent'),
        ({'exponent': float('nan')}, 'exponent'),
    ],
)
def test_arguments_are_checked(kwargs, message) -> None:
    with pytest.raises(ValueError, match=message):
        CloudCharbonnierLoss(**kwargs)


def test_arguments_are_shown_and_nothing_is_saved() -> None:
    assert 'epsilon=0.001' in repr(CloudCharbonnierLoss())
    assert 'clear_only=False' in repr(ClearSkyHintLoss(clear_only=False))
    assert not CloudCharbonnierLoss().state_dict()
