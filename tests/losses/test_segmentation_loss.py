"""Segmentation losses: equal to torch and smp where those are defined, 0 where they are not."""

import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_cloudseg.losses import SegmentationLoss, cross_entropy_loss, dice_loss, focal_loss

LOSSES = ['ce', 'focal', 'dice']
WEIGHTS = [0.5, 2.0, 1.0, 0.1]


def sample(seed: int, ignored: float = 0.3) -> tuple[Tensor, Tensor]:
    """Logits (2, 4, 12, 10) and labels, a share of them ignored, every class present."""
    g = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 4, 12, 10, generator=g)
    target = torch.randint(4, (2, 12, 10), generator=g)
    target[torch.rand(2, 12, 10, generator=g) < ignored] = 255
    target[0, 0, :4] = torch.arange(4)
    return logits.requires_grad_(), target


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits)[0]


@given(
    seed=st.integers(0, 2**31),
    ignored=st.floats(0, 0.99),
    weighted=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_cross_entropy_is_that_of_torch(seed, ignored, weighted, smoothing) -> None:
    logits, target = sample(seed, ignored)
    weights = torch.tensor(WEIGHTS) if weighted else None
    ours = cross_entropy_loss(logits, target, weights, 255, smoothing)
    theirs = F.cross_entropy(
        logits, target, weight=weights, ignore_index=255, label_smoothing=smoothing
    )
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits))


def test_dice_is_that_of_smp_where_every_class_is_present() -> None:
    logits, target = sample(0)
    ours = SegmentationLoss('dice')(logits, target)
    theirs = smp.losses.DiceLoss('multiclass', ignore_index=255)(logits, target)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits))


def test_dice_leaves_absent_classes_out_of_the_mean() -> None:
    logits, target = sample(0)
    target = target.clone()
    target[target == 2] = 255
    theirs = smp.losses.DiceLoss('multiclass', ignore_index=255)(logits, target)
    torch.testing.assert_close(dice_loss(logits, target), theirs * 4 / 3)


def test_focal_without_focus_is_the_cross_entropy() -> None:
    logits, target = sample(1)
    weights = torch.tensor(WEIGHTS)
    torch.testing.assert_close(
        focal_loss(logits, target, weights, gamma=0), cross_entropy_loss(logits, target, weights)
    )


@pytest.mark.parametrize('gamma', [0.5, 2.0])
def test_focal_formula(gamma: float) -> None:
    logits, target = sample(2)
    probability = logits.double().softmax(dim=1)
    labeled = target != 255
    true = probability.movedim(1, -1)[labeled].gather(1, target[labeled].unsqueeze(1))
    expected = (-((1 - true) ** gamma) * true.log()).mean()
    loss = focal_loss(logits, target, gamma=gamma)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    assert gradient(loss, logits).isfinite().all()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('weights', [None, WEIGHTS, [0.0] * 4])
@pytest.mark.parametrize('loss', LOSSES)
def test_nothing_to_learn_is_zero_loss_and_zero_gradient(loss, weights, dtype) -> None:
    logits = torch.randn(2, 4, 6, 6).to(dtype).requires_grad_()
    target = torch.full((2, 6, 6), 255)
    value = SegmentationLoss(loss, class_weights=weights)(logits, target)
    assert value.item() == 0
    assert (gradient(value, logits) == 0).all()


@pytest.mark.parametrize('loss', LOSSES)
def test_only_classes_of_no_weight_is_nothing_to_learn(loss) -> None:
    logits = torch.randn(2, 4, 6, 6, requires_grad=True)
    value = SegmentationLoss(loss, class_weights=[0, 1, 1, 1])(
        logits, torch.zeros(2, 6, 6, dtype=torch.long)
    )
    assert value.item() == 0
    assert (gradient(value, logits) == 0).all()


@given(seed=st.integers(0, 2**31), loss=st.sampled_from(LOSSES), weighted=st.booleans())
def test_ignored_pixels_do_not_matter(seed: int, loss: str, weighted: bool) -> None:
    logits, target = sample(seed)
    criterion = SegmentationLoss(loss, class_weights=WEIGHTS if weighted else None)
    value = criterion(logits, target)
    ignored = (target == 255).unsqueeze(1).expand_as(logits)
    assert (gradient(value, logits)[ignored] == 0).all()
    changed = torch.where(ignored, 100 * torch.rand_like(logits), logits)
    torch.testing.assert_close(criterion(changed, target), value)


@pytest.mark.parametrize('loss', LOSSES)
def test_weights_are_relative(loss) -> None:
    logits, target = sample(3)
    once = SegmentationLoss(loss, class_weights=WEIGHTS)(logits, target)
    twice = SegmentationLoss(loss, class_weights=torch.tensor(WEIGHTS) * 2)(logits, target)
    torch.testing.assert_close(once, twice)
    assert not torch.isclose(once, SegmentationLoss(loss)(logits, target))


@pytest.mark.parametrize('loss', LOSSES)
def test_perfect_prediction_costs_nothing(loss) -> None:
    _, target = sample(4, ignored=0)
    logits = 200 * F.one_hot(target, 4).movedim(-1, 1).float()
    assert SegmentationLoss(loss)(logits, target) < 1e-6


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('loss', LOSSES)
def test_half_precision_is_computed_in_float32(loss, dtype) -> None:
    logits, target = sample(5)
    half = logits.detach().to(dtype)
    # a module in half precision, as Lightning's "bf16-true" makes it
    criterion = SegmentationLoss(loss, class_weights=[0.5, 2.0, 1.0, 0.25]).to(dtype)
    with torch.autocast('cpu', dtype=dtype):
        value = criterion(half, target)
    assert value.dtype == torch.float32
    expected = SegmentationLoss(loss, class_weights=[0.5, 2.0, 1.0, 0.25])(half.float(), target)
    torch.testing.assert_close(value, expected)


@pytest.mark.slow
@pytest.mark.parametrize('loss', LOSSES)
def test_compiles_without_graph_break(loss) -> None:
    logits, target = sample(6)
    criterion = SegmentationLoss(loss, class_weights=WEIGHTS)
    compiled = torch.compile(criterion, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(logits, target), criterion(logits, target))


def test_weights_are_no_part_of_a_checkpoint() -> None:
    criterion = SegmentationLoss(class_weights=WEIGHTS)
    assert not criterion.state_dict()
    assert 'class_weights=[0.5, 2.0' in repr(criterion)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'loss': 'jaccard'}, "'ce', 'bce', 'focal' or 'dice', found 'jaccard'"),
        ({'label_smoothing': 1.5}, r'0\.\.1, found 1\.5'),
        ({'loss': 'dice', 'label_smoothing': 0.1}, '"ce" only'),
        ({'class_weights': [1.0, -1.0]}, 'finite and >= 0'),
        ({'class_weights': [1.0, float('nan')]}, 'finite and >= 0'),
    ],
)
def test_arguments_are_checked(kwargs, message) -> None:
    with pytest.raises(ValueError, match=message):
        SegmentationLoss(**kwargs)


def test_shape_errors_say_what_was_found() -> None:
    with pytest.raises(ValueError, match=r'\(1, 4, 8, 8\) and \(1, 1, 8, 8\)'):
        SegmentationLoss()(torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.long))
    with pytest.raises(ValueError, match='3 weights for the 4 classes'):
        SegmentationLoss(class_weights=[1, 1, 1])(
            torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 8, dtype=torch.long)
        )
