"""Confusion matrices by region, and the scores that follow from one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .regions import by_region


def count_confusion(
    preds: Tensor, target: Tensor, cloudy: Tensor, num_classes: int, ignore_index: int
) -> Tensor:
    """Count the pixels of each sample by sky, label and prediction.

    Nothing here waits for the device (``bincount`` and boolean indexing would).

    Args:
        preds: predicted classes (B, ...), 0..K-1 wherever the label is a class.
        target: labels of the same shape, long; those outside 0..K-1 are left out.
        cloudy: bool mask of the same shape, True under clouds.
        num_classes: number K of classes.
        ignore_index: a further label to leave out.

    Returns:
        counts (B, 2, K, K), int64: [sample][clear or cloudy][label][prediction].
    """
    counted = is_counted(target, num_classes, ignore_index)
    cells = 2 * num_classes**2
    cell = (cloudy.long() * num_classes + target) * num_classes + preds
    # the pixels left out share one further cell, which is then cut off
    cell = torch.where(counted, cell, cells).flatten(1)
    counts = cell.new_zeros(len(cell), cells + 1).scatter_add_(1, cell, torch.ones_like(cell))
    return counts[:, :cells].view(-1, 2, num_classes, num_classes)


def is_counted(target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Which pixels have a label that is a class.

    Args:
        target: labels of any shape, long.
        num_classes: number K of classes.
        ignore_index: a further label to leave out.

    Returns:
        bool mask of the same shape.
    """
    return (target >= 0) & (target < num_classes) & (target != ignore_index)


def confusion_scores(confusion: Tensor, labels: Sequence[str]) -> dict[str, float]:
    """Scores of one confusion matrix, for what it holds.

    * ``OA``: overall accuracy, the share of pixels that are right.
    * ``mAcc``: accuracy by class, the mean over classes that are labeled.
    * ``fwIoU``: IoU by class, weighted by the share of pixels labeled so.
    * ``mIoU``: IoU by class, the mean over classes present: labeled or predicted. A class that
      is predicted where it is nowhere labeled has IoU 0 and lowers the mean.
    * ``IoU_<label>``: intersection over union of each class present.

    A class that is neither labeled nor predicted has no IoU, and a matrix without pixels no score
    at all: they are left out.

    Args:
        confusion: counts (K, K), [label][prediction], on the CPU.
        labels: names of the K classes.

    Returns:
        scores by name, all finite, 0..1.

    Example:
        >>> import torch
        >>> scores = confusion_scores(torch.tensor([[3, 1], [0, 4]]), ['dry', 'flood'])
        >>> scores['OA'], scores['IoU_flood']
        (0.875, 0.8)
    """
    counts = confusion.double()
    total = counts.sum()
    if total == 0:
        return {}
    right, labeled = counts.diagonal(), counts.sum(dim=1)
    union = labeled + counts.sum(dim=0) - right
    seen, present = labeled > 0, union > 0
    accuracy = right[seen] / labeled[seen]
    # no division by 0: where the union is empty, so is the intersection
    iou = right / torch.where(present, union, 1)
    scores = {
        'OA': right.sum() / total,
        'mAcc': accuracy.mean(),
        'fwIoU': (labeled * iou).sum() / total,
        'mIoU': iou[present].mean(),
    }
    scores |= {f'IoU_{labels[k]}': iou[k] for k in range(len(labels)) if present[k]}
    return {name: float(score) for name, score in scores.items()}


def region_scores(confusion: Tensor, labels: Sequence[str]) -> dict[str, float]:
    """Scores by region, see :func:`confusion_scores`.

    Args:
        confusion: counts (2, K, K) of clear and cloudy pixels.
        labels: names of the K classes.

    Returns:
        scores named ``<region>_<score>``, all finite.
    """
    return {
        f'{region}_{name}': score
        for region, counts in by_region(confusion.cpu()).items()
        for name, score in confusion_scores(counts, labels).items()
    }
