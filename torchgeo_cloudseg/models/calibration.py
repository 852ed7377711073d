"""How sure a network may be: what is fitted to scenes that it has not been trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor

#: Opacities at which bins meet: clear, thin, thick and opaque.
OPACITY_EDGES = (0.1, 0.5, 0.9)

#: Least number of pixels that a bin is fitted to; one with fewer gets the values of all pixels.
MIN_PIXELS = 1000

#: Temperatures that are looked at. Where a network is never wrong, the best one is 0.
TEMPERATURES = (0.05, 20.0)

#: Halvings of that range, in logarithms: 1e-9 of it is left.
HALVINGS = 30


@dataclass(frozen=True)
class Calibration:
    """Temperatures and thresholds by which a network's scores become true confidence and sets.

    Each bin of the opacity that the network predicts has its own; a network that tells no opacity
    has one of each, since nothing else about clouds is known when a scene is mapped. The defaults
    are those of a network that is not calibrated: the softmax as it is, and no sets.

    Temperatures are those of Guo et al. 2017 (https://arxiv.org/abs/1706.04599); sets are split
    conformal ones, see Angelopoulos and Bates 2021 (https://arxiv.org/abs/2107.07511), of the
    classes with the largest probabilities.

    Attributes:
        temperatures: by which logits are divided before the softmax, per bin.
        thresholds: least probability of a class in a set, per bin; empty where there are no sets.
        coverage: share of pixels, 0..1, whose set was fitted to hold the true class.
        edges: opacities at which bins meet, ascending, within 0..1; empty for one bin.

    Example:
        >>> import torch
        >>> sure = Calibration(temperatures=(2.0,), thresholds=(0.2,))
        >>> probabilities = sure.probabilities(torch.tensor([4.0, 2.0, 0.0]).view(3, 1, 1))
        >>> [round(float(x), 3) for x in probabilities]
        [0.665, 0.245, 0.09]
        >>> sure.sets(probabilities).flatten().tolist()
        [True, True, False]
    """

    temperatures: tuple[float, ...] = (1.0,)
    thresholds: tuple[float, ...] = ()
    coverage: float = 0.9
    edges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the values, which may come from JSON, as lists.

        Raises:
            ValueError: if they make no sense.
        """
        for name in ('temperatures', 'thresholds', 'edges'):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        bins = len(self.edges) + 1
        if not 0 < self.coverage < 1:
            raise ValueError(f'coverage={self.coverage}: expected a share between 0 and 1.')
        ends = (0.0, *self.edges, 1.0)
        if any(low >= high for low, high in pairwise(ends)):
            raise ValueError(f'edges={self.edges}: expected opacities between 0 and 1, ascending.')
        if len(self.temperatures) != bins or min(self.temperatures) <= 0:
            raise ValueError(
                f'temperatures={self.temperatures}: expected {bins} positive numbers, one per bin '
                'of the opacity.'
            )
        if len(self.thresholds) not in (0, bins):
            raise ValueError(f'thresholds={self.thresholds}: expected {bins}, one per bin.')

    @classmethod
    def fit(
        cls,
        logits: Tensor,
        labels: Tensor,
        opacity: Tensor | None = None,
        edges: Sequence[float] = OPACITY_EDGES,
        coverage: float = 0.9,
    ) -> Self:
        """Fit to pixels that the network has not been trained on.

        The temperature of a bin is that of the least cross-entropy. The threshold is the one at
        which, of n pixels, the sets of ceil((n + 1) * coverage) hold the true class. Sets always
        hold the most probable class, so that they cover more where that alone is right more often.

        Args:
            logits: logits (N, K).
            labels: true classes (N,), 0..K-1.
            opacity: opacity of the clouds (N,), 0..1, as the network tells it; None for one bin.
            edges: opacities at which bins meet.
            coverage: share of pixels whose set is to hold the true class.

        Returns:
            the calibration. A bin of less than 1000 pixels has the values of all pixels.

        Raises:
            ValueError: if there are no pixels, or *edges* or *coverage* make no sense.
        """
        if len(labels) == 0:
            raise ValueError('found no labeled pixel to calibrate with, expected some.')
        edges = () if opacity is None else tuple(edges)
        plain = cls((1.0,) * (len(edges) + 1), (), coverage, edges)
        where = torch.zeros_like(labels) if opacity is None else opacity_bins(opacity, edges)
        temperatures, thresholds = [], []
        for number in range(len(plain.temperatures)):
            own = where == number
            if own.sum() < MIN_PIXELS:
                own = torch.ones_like(own)
            temperatures.append(_temperature(logits[own], labels[own]))
            probabilities = (logits[own] / temperatures[-1]).softmax(dim=1)
            thresholds.append(_threshold(probabilities, labels[own], coverage))
        return replace(plain, temperatures=tuple(temperatures), thresholds=tuple(thresholds))

    def probabilities(self, logits: Tensor, opacity: Tensor | None = None) -> Tensor:
        """Class probabilities that are as large as they are often right.

        Args:
            logits: logits (..., K, h, w).
            opacity: opacity of the clouds (..., 1, h, w), 0..1; needed where there are bins.

        Returns:
            probabilities (..., K, h, w).
        """
        return (logits / self._at(self.temperatures, logits, opacity)).softmax(dim=-3)

    def sets(self, probabilities: Tensor, opacity: Tensor | None = None) -> Tensor:
        """Classes that a pixel may have.

        Args:
            probabilities: what :meth:`probabilities` gave, (..., K, h, w).
            opacity: opacity of the clouds (..., 1, h, w), 0..1; needed where there are bins.

        Returns:
            bool (..., K, h, w), True for the classes of the set; the most probable class is
            always one of them.
        """
        likely = probabilities >= self._at(self.thresholds, probabilities, opacity)
        return likely.scatter(-3, probabilities.argmax(dim=-3, keepdim=True), True)

    def _at(self, values: Sequence[float], like: Tensor, opacity: Tensor | None) -> Tensor:
        """The value of each pixel's bin (..., 1, h, w), or one for all."""
        table = like.new_tensor(values)
        if not self.edges:
            return table[0]
        if opacity is None:
            raise ValueError('opacity: found None, expected that of each pixel, which has bins.')
        return table[opacity_bins(opacity, self.edges)]


def opacity_bins(opacity: Tensor, edges: Sequence[float]) -> Tensor:
    """Numbers of the bins in which opacities lie.

    Args:
        opacity: opacities of any shape, 0..1.
        edges: opacities at which bins meet, ascending; each belongs to the bin above it.

    Returns:
        numbers 0..len(edges) of the same shape, long.
    """
    return torch.bucketize(opacity.contiguous(), opacity.new_tensor(edges), right=True)


def _temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of the least cross-entropy."""
    # which is convex over 1 / T: its slope is the mean logit that the network expects, less that
    # of the true class
    scores = logits.double()
    true = scores.gather(1, labels[:, None]).mean()
    low, high = map(math.log, TEMPERATURES)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        expected = ((scores / math.exp(middle)).softmax(dim=1) * scores).sum(dim=1).mean()
        low, high = (middle, high) if expected > true else (low, middle)
    return math.exp((low + high) / 2)


def _threshold(probabilities: Tensor, labels: Tensor, coverage: float) -> float:
    """The probability that a share of true classes have, or are the most probable ones."""
    held = probabilities.gather(1, labels[:, None])[:, 0]
    held = held.masked_fill(probabilities.argmax(dim=1) == labels, 1.0)
    needed = math.ceil((len(held) + 1) * coverage)
    # of too few pixels nothing follows: a set is then all classes
    return float(held.kthvalue(len(held) + 1 - needed).values) if needed <= len(held) else 0.0
