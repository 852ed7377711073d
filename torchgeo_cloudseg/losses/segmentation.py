"""Segmentation losses that stay finite where there is nothing to learn from.

torch's cross-entropy and smp's focal loss divide by the number of labeled pixels, which gives NaN
for a batch without any, and NaN weights from then on. Here such a batch has loss 0 and gradient 0.
Nothing waits for the device, so the losses do not stall a training step or break its compilation.
"""

# no postponed annotations: the tasks' command line resolves these signatures
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from ._checks import full_precision


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean under weights that are not negative, 0 where all of them are 0."""
    total = weights.sum()
    return (values * weights).sum() / torch.where(total > 0, total, 1)


def _pixel_weights(target: Tensor, class_weights: Tensor | None, ignore_index: int) -> Tensor:
    """Weight of each pixel's label, 0 where it is ignored."""
    labeled = target != ignore_index
    if class_weights is None:
        return labeled.float()
    return class_weights[torch.where(labeled, target, 0)] * labeled


def _share_of_process(weights: Tensor) -> Tensor:
    """Weight of this process's pixels, relative to the mean over all processes."""
    own = weights.sum()
    total = own.clone()
    dist.all_reduce(total)
    return dist.get_world_size() * own / torch.where(total > 0, total, 1)


def cross_entropy_loss(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    ignore_index: int = 255,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy, as in torch but 0 for a batch without labeled pixels.

    Args:
        logits: (B, K, h, w).
        target: labels (B, h, w), long, 0..K-1 or *ignore_index*.
        class_weights: weight of each class, (K,).
        ignore_index: label of pixels left out.
        label_smoothing: share of each label spread over all classes, 0..1.

    Returns:
        the loss, a scalar: the mean over labeled pixels, weighted by class.

    Example:
        >>> import torch
        >>> logits = torch.zeros(1, 3, 2, 2)
        >>> target = torch.tensor([[[0, 1], [2, 255]]])
        >>> round(float(cross_entropy_loss(logits, target)), 4)
        1.0986
    """
    total = F.cross_entropy(
        full_precision(logits),
        target,
        weight=class_weights,
        ignore_index=ignore_index,
        reduction='sum',
        label_smoothing=label_smoothing,
    )
    weight = _pixel_weights(target, class_weights, ignore_index).sum()
    return total / torch.where(weight > 0, weight, 1)


def focal_loss(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    ignore_index: int = 255,
    gamma: float = 2.0,
) -> Tensor:
    r"""Focal loss of the softmax: cross-entropy that turns away from pixels already right.

    .. math::

        -w_t (1 - p_t)^\gamma \log p_t

    with :math:`p_t` the probability of the true class, averaged under the weights :math:`w_t`
    (Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 5).

    Args:
        logits: (B, K, h, w).
        target: labels (B, h, w), long, 0..K-1 or *ignore_index*.
        class_weights: weight of each class, (K,).
        ignore_index: label of pixels left out.
        gamma: how strongly easy pixels are played down; 0 gives the cross-entropy.

    Returns:
        the loss, a scalar; 0 for a batch without labeled pixels.

    Example:
        >>> import torch
        >>> logits, target = torch.zeros(1, 2, 1, 1), torch.tensor([[[0]]])
        >>> round(float(focal_loss(logits, target)), 4)
        0.1733
    """
    entropy = F.cross_entropy(
        full_precision(logits), target, ignore_index=ignore_index, reduction='none'
    )
    # away from 0, where a power below 1 has no gradient
    missing = (-torch.expm1(-entropy)).clamp(min=torch.finfo(entropy.dtype).tiny)
    focal = missing.pow(gamma) * entropy
    return _weighted_mean(focal, _pixel_weights(target, class_weights, ignore_index))


def dice_loss(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    ignore_index: int = 255,
) -> Tensor:
    r"""Soft Dice loss, the mean over the classes that the batch has.

    .. math::

        1 - \frac{2 \sum p_k y_k}{\sum p_k + \sum y_k}

    with sums over the labeled pixels of the batch, :math:`p_k` the probability of class k and
    :math:`y_k` 1 where it is the label (Milletari et al., "V-Net", 3DV 2016, with plain instead of
    squared sums, as in smp). A class without pixels has no Dice score and is left out of the mean;
    smp counts it as a perfect one.

    Args:
        logits: (B, K, h, w).
        target: labels (B, h, w), long, 0..K-1 or *ignore_index*.
        class_weights: weight of each class, (K,).
        ignore_index: label of pixels left out.

    Returns:
        the loss, a scalar; 0 for a batch without labeled pixels.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[[[9.0]], [[-9.0]]]])
        >>> round(float(dice_loss(logits, torch.tensor([[[0]]]))), 3)
        0.0
    """
    labeled = target != ignore_index
    truth = F.one_hot(torch.where(labeled, target, 0), logits.shape[1]).movedim(-1, 1)
    truth = truth * labeled.unsqueeze(1)
    probability = full_precision(logits).softmax(dim=1) * labeled.unsqueeze(1)
    pixels = truth.sum(dim=(0, 2, 3))
    overlap = (probability * truth).sum(dim=(0, 2, 3))
    # at least 1 pixel of every class that counts, so the other classes may have any denominator
    size = torch.where(pixels > 0, probability.sum(dim=(0, 2, 3)) + pixels, 1)
    weights = (pixels > 0).float()
    if class_weights is not None:
        weights = weights * class_weights
    return _weighted_mean(1 - 2 * overlap / size, weights)


class SegmentationLoss(nn.Module):
    """Segmentation loss by name: cross-entropy, focal or Dice.

    The modules of :func:`cross_entropy_loss`, :func:`focal_loss` and :func:`dice_loss`. A batch
    with nothing to learn from (every pixel ignored, or only classes of weight 0) gives loss 0 and
    gradient 0.

    In training on several processes each one's cross-entropy or focal loss is weighed by its share
    of the labeled pixels, so that their mean is the loss of all pixels together. Dice is a matter
    of each process's own batch.

    Shape:
        - logits: (B, K, h, w).
        - target: (B, h, w), long.
        - Output: a scalar.

    Example:
        >>> import torch
        >>> criterion = SegmentationLoss('focal', class_weights=[1.0, 2.0])
        >>> logits, target = torch.zeros(1, 2, 4, 4), torch.ones(1, 4, 4, dtype=torch.long)
        >>> criterion(logits, target).shape
        torch.Size([])
    """

    class_weights: Tensor | None

    def __init__(
        self,
        loss: Literal['ce', 'bce', 'focal', 'dice'] = 'ce',
        class_weights: Sequence[float] | Tensor | None = None,
        ignore_index: int = 255,
        label_smoothing: float = 0.0,
    ) -> None:
        """Initialize a new SegmentationLoss instance.

        Args:
            loss: name of the loss: 'ce', 'bce' (of two classes; the same), 'focal' or 'dice'.
            class_weights: weight of each class, K numbers that are not negative.
            ignore_index: label of pixels left out.
            label_smoothing: share of each label spread over all classes, 0..1; 'ce' only.

        Raises:
            ValueError: if *loss* is unknown, a class weight negative or not finite, or labels are
                to be smoothed for another loss than 'ce'.
        """
        super().__init__()
        if loss not in ('ce', 'bce', 'focal', 'dice'):
            raise ValueError(f"`loss` must be 'ce', 'bce', 'focal' or 'dice', found {loss!r}.")
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f'`label_smoothing` must lie in 0..1, found {label_smoothing}.')
        if label_smoothing > 0 and loss not in ('ce', 'bce'):
            raise ValueError(
                f'`label_smoothing` is defined for loss "ce" only, found {label_smoothing} with '
                f'loss {loss!r}. Set it to 0 or use "ce".'
            )
        if class_weights is not None:
            values = [float(weight) for weight in class_weights]
            if not all(math.isfinite(value) and value >= 0 for value in values):
                raise ValueError(f'`class_weights` must be finite and >= 0, found {values}.')
            class_weights = torch.tensor(values)
        self.loss = loss
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        # an argument, not something learnt: kept out of checkpoints
        self.register_buffer('class_weights', class_weights, persistent=False)

    def extra_repr(self) -> str:
        """Arguments, for ``print(module)``."""
        weights = None if self.class_weights is None else self.class_weights.tolist()
        return (
            f'loss={self.loss!r}, class_weights={weights}, ignore_index={self.ignore_index}, '
            f'label_smoothing={self.label_smoothing}'
        )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            logits: (B, K, h, w).
            target: labels (B, h, w), long, 0..K-1 or *ignore_index*.

        Returns:
            the loss, a scalar.

        Raises:
            ValueError: if the shapes do not agree.
        """
        if logits.ndim != 4 or target.shape != (logits.shape[0], *logits.shape[2:]):
            raise ValueError(
                '`logits` must have shape (B, K, h, w) and `target` (B, h, w), '
                f'found {tuple(logits.shape)} and {tuple(target.shape)}.'
            )
        if self.loss == 'bce' and logits.shape[1] != 2:
            raise ValueError(
                f"loss='bce' is for two classes, found logits of {logits.shape[1]}. Set "
                "num_classes to 1 or 2, or use 'ce'."
            )
        logits = full_precision(logits)
        weights = self.class_weights
        if weights is not None:
            if len(weights) != logits.shape[1]:
                raise ValueError(
                    f'`class_weights` has {len(weights)} weights for the {logits.shape[1]} '
                    'classes of `logits`. Give one weight per class.'
                )
            # with the module in bfloat16 the buffer is, too
            weights = weights.to(logits.dtype)
        match self.loss:
            case 'dice':
                return dice_loss(logits, target, weights, self.ignore_index)
            case 'focal':
                loss = focal_loss(logits, target, weights, self.ignore_index)
            case _:
                loss = cross_entropy_loss(
                    logits, target, weights, self.ignore_index, self.label_smoothing
                )
        if self.training and dist.is_available() and dist.is_initialized():
            # a share in float32 would leave a loss in float64 no more than seven digits
            pixels = _pixel_weights(target, weights, self.ignore_index).to(loss.dtype)
            loss = loss * _share_of_process(pixels)
        return loss
