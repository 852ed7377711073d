"""Whether confidence is true: calibration error and coverage, by region and by opacity."""

# no postponed annotations: the tasks' command line resolves these signatures
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from ..models.calibration import opacity_bins
from .confusion import is_counted
from .regions import by_region, clouds_on_grid

#: Bins of the confidence, 0..1, as in Guo et al. 2017.
BINS = 15

#: Groups of scenes that are counted apart, for intervals over scenes.
GROUPS = 64

#: What is summed over pixels: their number, those that are right, confidence, those whose set holds
#: the true class, and classes in the sets.
SUMS = ('pixels', 'right', 'confidence', 'covered', 'classes')

#: Confidence is summed in whole numbers of this part, so that order and processes do not matter.
PART = 2**-20

#: Resamples of the groups of scenes, and the ends of the interval.
RESAMPLES, ENDS = 1000, (0.025, 0.975)


class CalibrationMetrics(Metric):
    """Expected calibration error, and the coverage and size of class sets, by region.

    In one flat dict of scalars named ``<prefix><region>_<score>``:

    * ``ECE``: pixels are binned by the largest probability; the distance between its mean and the
      share of pixels that are right, averaged over bins by their pixels, 0..1 (Guo et al. 2017).
    * ``coverage``: share of pixels whose set holds the true class, 0..1.
    * ``set_size``: mean number of classes in a set.

    As in :class:`RegionMetrics`, what there is nothing to measure of is left out of the dict. The
    state is sums, in whole numbers, whatever the number of pixels: torchmetrics'
    ``MulticlassCalibrationError`` keeps every pixel.

    Example:
        >>> import torch
        >>> metrics = CalibrationMetrics(2)
        >>> probabilities = torch.tensor([0.8, 0.2]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
        >>> target = torch.tensor([[[0, 0], [0, 1]]])
        >>> metrics.update(probabilities, target, cloud_mask=torch.zeros(1, 2, 2))
        >>> round(float(metrics.compute()['clear_ECE']), 3)
        0.05
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    sums: Tensor

    def __init__(
        self,
        num_classes: int,
        ignore_index: int = 255,
        edges: Sequence[float] = (),
        prefix: str = '',
        **kwargs: Any,
    ) -> None:
        """Initialize a new CalibrationMetrics instance.

        Args:
            num_classes: number K of classes.
            ignore_index: label of pixels left out. Labels outside 0..K-1 are left out anyway.
            edges: opacities at which bins meet that are counted apart (defaults to one bin).
            prefix: beginning of the names of all metrics, such as ``test_``.
            **kwargs: further arguments of :class:`torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.edges = tuple(edges)
        self.prefix = prefix
        shape = GROUPS, 2, len(self.edges) + 1, BINS, len(SUMS)
        self.add_state('sums', torch.zeros(shape, dtype=torch.long), dist_reduce_fx='sum')

    def update(
        self,
        probabilities: Tensor,
        target: Tensor,
        cloud_mask: Tensor,
        opacity: Tensor | None = None,
        sets: Tensor | None = None,
        scene: Tensor | None = None,
    ) -> None:
        """Count a batch. Nothing here waits for the device.

        Args:
            probabilities: class probabilities (B, K, h, w).
            target: labels (B, h, w).
            cloud_mask: mask (B, H, W) over the same ground, 1 cloud, 0 clear.
            opacity: opacity of the clouds (B, 1, h, w), as it is predicted, where there are bins.
            sets: classes that a pixel may have (B, K, h, w), bool, if there are sets.
            scene: numbers of the scenes, (B,) or (B, 1), for intervals over them.
        """
        cloudy = clouds_on_grid(cloud_mask, (target.shape[1], target.shape[2]))
        target = target.long()
        counted = is_counted(target, self.num_classes, self.ignore_index)
        confidence, predicted = probabilities.float().max(dim=1)
        pixels = [torch.ones_like(target), predicted == target, (confidence / PART).round()]
        if sets is None:
            pixels += [torch.zeros_like(target)] * 2
        else:
            true = target.where(counted, 0)[:, None]
            pixels += [sets.gather(1, true)[:, 0], sets.sum(dim=1)]
        groups, _, bins, _, _ = self.sums.shape
        cell = target.new_zeros(len(target)) if scene is None else scene.flatten().long() % groups
        cell = cell[:, None, None] * 2 + cloudy
        cell = cell * bins + (0 if opacity is None else opacity_bins(opacity[:, 0], self.edges))
        cell = cell * BINS + (confidence * BINS).long().clamp(0, BINS - 1)
        # the pixels left out share one further cell, which is then cut off
        cells = self.sums[..., 0].numel()
        values = torch.stack([value.long() for value in pixels], dim=-1).flatten(0, -2)
        sums = values.new_zeros(cells + 1, len(SUMS))
        sums.index_add_(0, cell.where(counted, cells).flatten(), values)
        self.sums += sums[:cells].view_as(self.sums)

    def compute(self) -> dict[str, Tensor]:
        """Scores of all pixels counted so far.

        Returns:
            scores by name, float32 scalars on the metric's device.
        """
        names = ('ECE', 'coverage', 'set_size')
        return {
            f'{self.prefix}{region}_{name}': torch.tensor(float(scores[name]), device=self.device)
            for region, sums in by_region(self.sums.sum(dim=(0, 2)).cpu()).items()
            for scores in [calibration_scores(sums)]
            for name in names
            if name in scores
        }

    def totals(self) -> Tensor:
        """The sums of all processes: all of them must call this.

        Returns:
            sums (G, 2, B, 15, 5), int64, on the CPU: [group of scenes][clear or cloudy][bin of
            the opacity][bin of the confidence][:data:`SUMS`].
        """
        with self.sync_context():
            return self.sums.cpu().clone()


def calibration_scores(sums: Tensor) -> dict[str, Tensor]:
    """Scores of sums over pixels.

    Args:
        sums: sums (..., 15, 5), see :meth:`CalibrationMetrics.totals`.

    Returns:
        ``pixels``, ``accuracy``, ``confidence``, ``ECE`` and, where there were sets, ``coverage``
        and ``set_size``, float64 (...); nothing where there is not a pixel.
    """
    pixels, right, confidence, covered, classes = sums.double().unbind(dim=-1)
    confidence = confidence * PART
    count = pixels.sum(dim=-1)
    if not count.any():
        return {}
    values = {'accuracy': right, 'confidence': confidence, 'ECE': (right - confidence).abs()}
    if classes.any():
        values |= {'coverage': covered, 'set_size': classes}
    return {'pixels': count, **{name: x.sum(dim=-1) / count for name, x in values.items()}}


def calibration_table(
    totals: Tensor, edges: Sequence[float], titles: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Arrange scores in a table: a row per region, and per bin of the opacity.

    Args:
        totals: what :meth:`CalibrationMetrics.totals` gave.
        edges: opacities at which bins meet.
        titles: titles of the regions (defaults to their names).

    Returns:
        rows of ``pixels of``, the scores of :func:`calibration_scores`, and the ends of 95 %
        intervals of ``ECE`` and ``coverage`` over (groups of) scenes, as ``ECE_low`` and so on,
        by bootstrap; none of those with fewer than two.
    """
    parts = {
        (titles or {}).get(region, region): sums
        for region, sums in by_region(totals.sum(dim=2).transpose(0, 1)).items()
    }
    by_bin = totals.sum(dim=1).unbind(dim=1)
    parts |= dict(zip(opacity_titles(edges), by_bin if edges else (), strict=True))
    rows: list[dict[str, Any]] = []
    for title, groups in parts.items():
        if scores := calibration_scores(groups.sum(dim=0)):
            named = {name: float(score) for name, score in scores.items()}
            named['pixels'] = int(named['pixels'])
            rows.append({'pixels of': title, **named, **_intervals(groups)})
    return rows


def opacity_titles(edges: Sequence[float]) -> list[str]:
    """Titles of the bins of the opacity.

    Args:
        edges: opacities at which bins meet.

    Returns:
        one per bin; none where all is one.
    """
    ends = (0.0, *edges, 1.0)
    return [f'opacity {a:g} to {b:g}' for a, b in pairwise(ends)] if edges else []


def _intervals(groups: Tensor) -> dict[str, float]:
    """Ends of the intervals of scores, from sums (G, 15, 5) of groups of scenes."""
    groups = groups[groups[..., 0].sum(dim=-1) > 0].double()
    if len(groups) < 2:
        return {}
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(groups), (RESAMPLES, len(groups)), generator=generator)
    times = torch.zeros(RESAMPLES, len(groups), dtype=torch.double)
    times.scatter_add_(1, drawn, torch.ones_like(times))
    scores = calibration_scores((times @ groups.flatten(1)).view(RESAMPLES, *groups.shape[1:]))
    return {
        f'{name}_{end}': float(scores[name].quantile(share))
        for name in ('ECE', 'coverage')
        if name in scores
        for end, share in zip(('low', 'high'), ENDS, strict=True)
    }
