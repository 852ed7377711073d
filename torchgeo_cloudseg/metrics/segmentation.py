"""Segmentation metrics by region: all pixels, clear sky, under clouds."""

# no postponed annotations: the tasks' command line resolves these signatures
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from .confusion import count_confusion, is_counted, region_scores
from .regions import REGIONS, Region, by_region, clouds_on_grid


class RegionMetrics(Metric):
    """Overall accuracy, mean accuracy, frequency-weighted IoU, mean IoU and IoU by class.

    Each for all pixels, for clear sky and under clouds, in one flat dict of scalars named
    ``<prefix><region>_<score>``, such as ``all_mIoU`` or ``cloudy_IoU_forest``; see
    :func:`~torchgeo_cloudseg.metrics.confusion_scores` for the scores. They are the authors' rule
    (Xu et al., 2024), computed in float64 from one confusion matrix of the whole dataset, not
    averaged over batches: they do not depend on batch size, order or number of processes.

    What there is nothing to measure of is left out of the dict: every score of a region without
    labeled pixels, and the IoU of a class that a region neither has nor predicts. A 0 in its
    place would be a lie, and a NaN would pass through a checkpoint monitor, a logger or JSON
    unnoticed. ``all_mIoU`` is there, and finite, as soon as one pixel is labeled. All processes
    leave out the same scores, since the matrices are summed before.

    The state is counts, (2, K, K) int64, summed over processes.

    Example:
        >>> import torch
        >>> metrics = RegionMetrics(2, labels=['land', 'water'])
        >>> target = torch.tensor([[[0, 1], [1, 1]]])
        >>> preds = torch.tensor([[[0, 1], [1, 0]]])
        >>> metrics.update(preds, target, cloud_mask=torch.tensor([[[0, 0], [0, 1]]]))
        >>> scores = metrics.compute()
        >>> float(scores['clear_OA']), float(scores['cloudy_OA'])
        (1.0, 0.0)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    confusion: Tensor

    def __init__(
        self,
        num_classes: int,
        ignore_index: int = 255,
        labels: Sequence[str] | None = None,
        prefix: str = '',
        **kwargs: Any,
    ) -> None:
        """Initialize a new RegionMetrics instance.

        Args:
            num_classes: number K of classes.
            ignore_index: label of pixels left out. Labels outside 0..K-1 are left out anyway.
            labels: names of the classes, in order (defaults to '0', '1', ...).
            prefix: beginning of the names of all metrics, such as ``val_``.
            **kwargs: further arguments of :class:`torchmetrics.Metric`.

        Raises:
            ValueError: if *num_classes* is not positive, or *labels* are not K different names.
        """
        super().__init__(**kwargs)
        if num_classes < 1:
            raise ValueError(f'`num_classes` must be positive, found {num_classes}.')
        names = [str(k) for k in range(num_classes)] if labels is None else list(labels)
        if len(names) != num_classes or len(set(names)) != num_classes:
            raise ValueError(
                f'`labels` must be {num_classes} different names, one per class, found {names}.'
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.labels = names
        self.prefix = prefix
        zeros = torch.zeros(2, num_classes, num_classes, dtype=torch.long)
        self.add_state('confusion', zeros, dist_reduce_fx='sum')

    def update(self, preds: Tensor, target: Tensor, cloud_mask: Tensor) -> None:
        """Count a batch.

        With logits nothing waits for the device. Predicted classes are checked, which does.

        Args:
            preds: logits or probabilities (B, K, h, w), or predicted classes (B, h, w).
            target: labels (B, h, w).
            cloud_mask: mask (B, H, W) over the same ground, bool, integer or float: 1 cloud,
                0 clear. Another size is brought to (h, w) by nearest neighbor, row i taking row
                floor(i * H / h).

        Raises:
            ValueError: if shapes do not agree, or a predicted class is not in 0..K-1 where the
                label is a class.
        """
        self._check_shapes(preds, target, cloud_mask)
        cloudy = clouds_on_grid(cloud_mask, (target.shape[1], target.shape[2]))
        # in uint8 an ignore_index of -1 would compare equal to 255
        target = target.long()
        if preds.ndim == 4:
            preds = preds.argmax(dim=1)
        else:
            self._check_classes(preds, target)
        counts = count_confusion(preds, target, cloudy, self.num_classes, self.ignore_index)
        self.confusion += counts.sum(dim=0)

    def compute(self) -> dict[str, Tensor]:
        """Scores of all pixels counted so far.

        Returns:
            scores by name, scalars 0..1 on the metric's device, float64 where it knows that type.
        """
        # Apple's GPUs have no float64
        dtype = torch.float32 if self.device.type == 'mps' else torch.float64
        return {
            f'{self.prefix}{name}': torch.tensor(score, dtype=dtype, device=self.device)
            for name, score in region_scores(self.confusion, self.labels).items()
        }

    def confusion_matrix(self, region: Region = 'all') -> Tensor:
        """Confusion matrix of a region, summed over processes: all of them must call this.

        Args:
            region: 'all', 'clear' or 'cloudy'.

        Returns:
            counts (K, K), int64, [label][prediction].

        Raises:
            ValueError: if there is no such region.
        """
        if region not in REGIONS:
            raise ValueError(f'`region` must be one of {REGIONS}, found {region!r}.')
        with self.sync_context():
            return by_region(self.confusion)[region].clone()

    def _check_shapes(self, preds: Tensor, target: Tensor, cloud_mask: Tensor) -> None:
        """Refuse shapes that do not agree."""
        grid = (len(preds), *preds.shape[-2:])
        if preds.ndim not in (3, 4) or target.shape != grid:
            raise ValueError(
                '`preds` must have shape (B, K, h, w) or (B, h, w) and `target` (B, h, w), '
                f'found {tuple(preds.shape)} and {tuple(target.shape)}.'
            )
        if preds.ndim == 4 and preds.shape[1] != self.num_classes:
            raise ValueError(
                f'`preds` has {preds.shape[1]} channels for {self.num_classes} classes.'
            )
        if preds.ndim == 3 and preds.is_floating_point():
            raise ValueError(
                f'`preds` of shape (B, h, w) must be classes of an integer type, found '
                f'{preds.dtype}. Logits have shape (B, {self.num_classes}, h, w).'
            )
        if cloud_mask.ndim != 3 or len(cloud_mask) != len(target):
            raise ValueError(
                f'`cloud_mask` must have shape (B, H, W) with B = {len(target)}, '
                f'found {tuple(cloud_mask.shape)}.'
            )

    def _check_classes(self, preds: Tensor, target: Tensor) -> None:
        """Refuse predictions that are no class where the label is one."""
        strange = (preds < 0) | (preds >= self.num_classes)
        strange &= is_counted(target, self.num_classes, self.ignore_index)
        if strange.any():
            raise ValueError(
                f'`preds` has classes {sorted(set(preds[strange].tolist()))} at labeled pixels, '
                f'expected 0..{self.num_classes - 1}. Set `target` to {self.ignore_index} where '
                'nothing is predicted.'
            )
