"""What a network says of a place on several dates, put together window by window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

#: Least share of light that a cloud lets through, so that a place under clouds on every date is
#: mapped, too.
LEAST_LIGHT = 1e-3


def trust(logits: Tensor, opacity: Tensor | None = None) -> Tensor:
    """What the word of a network counts for, pixel by pixel.

    Args:
        logits: (K, h, w).
        opacity: opacity of the clouds (1, h, w), 0..1; None where the network does not tell it.

    Returns:
        weights (1, h, w) in 0..1: the largest class probability, times (1 - opacity).

    Example:
        >>> trust(torch.zeros(2, 1, 1), torch.full((1, 1, 1), 0.5)).item()
        0.25
    """
    confidence = logits.softmax(dim=0).amax(dim=0, keepdim=True)
    return confidence if opacity is None else confidence * (1 - opacity).clamp(min=LEAST_LIGHT)


def share_with_data(valid: Tensor, size_px: tuple[int, int]) -> Tensor:
    """How much of each pixel of another grid has data.

    Args:
        valid: where there is data (H, W), bool.
        size_px: height and width of the other grid, which covers the same ground.

    Returns:
        shares (1, h, w) in 0..1.
    """
    return F.adaptive_avg_pool2d(valid[None].float(), size_px)


@dataclass
class DateMeans:
    """Means over dates of a network's outputs for the windows of a row.

    With the weights *w* of date *d*, :func:`trust` times :func:`share_with_data`, an output is
    ``sum(w[d] * output[d]) / sum(w[d])``. The sums run date by date, so memory does not depend on
    how many there are; dates that are the same give exactly the output of one of them, and a date
    without data changes nothing.

    Attributes:
        tells_opacity: whether the network's second output is the opacity of the clouds; the first
            one is the logits.
    """

    tells_opacity: bool
    _found: dict[tuple[int, int], tuple[list[Tensor], list[Tensor]]] = field(default_factory=dict)

    def add(self, place: tuple[int, int], outputs: Sequence[Tensor], valid: Tensor) -> None:
        """Add a window of a date.

        Args:
            place: index of its image, and of its column.
            outputs: outputs of the network (K, h, w), each on a grid of its own.
            valid: where the date has data in this window (H, W), bool.
        """
        values = [output.float() for output in outputs]
        opacity = values[1] if self.tells_opacity else None
        weight, weights = trust(values[0], opacity), []
        for output in values:
            size = output.shape[-2], output.shape[-1]
            # to the pixel in which the center of each pixel of the other grid lies
            on_grid = F.interpolate(weight[None], size=size, mode='nearest-exact')[0]
            weights.append(on_grid * share_with_data(valid, size).to(weight.device))
        if place not in self._found:
            self._found[place] = values, weights
            return
        means, totals = self._found[place]
        for i, (output, added) in enumerate(zip(values, weights, strict=True)):
            totals[i] = totals[i] + added
            # where no date has data yet, nothing is said that anybody sees
            share = torch.where(totals[i] > 0, added / totals[i], 0.0)
            means[i] = torch.lerp(means[i], output, share)

    def windows(self) -> Iterator[tuple[int, int, tuple[Tensor, ...]]]:
        """The means.

        Yields:
            index of the image, of the column, and the means (K, h, w).
        """
        for (image, column), (means, _) in self._found.items():
            yield image, column, tuple(means)
