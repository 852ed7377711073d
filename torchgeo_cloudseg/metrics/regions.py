"""The regions that metrics tell apart, all pixels, clear sky, under clouds, and their table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Region = Literal['all', 'clear', 'cloudy']

#: Names of the regions, as in the names of the metrics.
REGIONS: tuple[Region, ...] = ('all', 'clear', 'cloudy')


def by_region(totals: Tensor) -> dict[Region, Tensor]:
    """Totals of every region from those of its two disjoint parts.

    Args:
        totals: totals (2, ...) of clear and cloudy pixels.

    Returns:
        totals (...) by region; 'all' is the sum of the other two.
    """
    clear, cloudy = totals.unbind(0)
    return {'all': clear + cloudy, 'clear': clear, 'cloudy': cloudy}


def clouds_on_grid(cloud_mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a cloud mask to another grid over the same ground, by nearest neighbor.

    Row i of h takes row floor(i * H / h) of H, in whole numbers: 300 -> 90 takes floor(10 i / 3).
    (``interpolate`` computes the same in float32 and may be off by one row at some sizes.)

    Args:
        cloud_mask: mask (B, H, W), bool, integer or float; a pixel is cloudy above 0.5.
        size: height h and width w of the other grid.

    Returns:
        bool mask (B, h, w), True under clouds.
    """
    for dim, length in zip((1, 2), size, strict=True):
        stored = cloud_mask.shape[dim]
        if stored != length:
            index = torch.arange(length, device=cloud_mask.device) * stored // length
            cloud_mask = cloud_mask.index_select(dim, index)
    return cloud_mask > 0.5


def region_table(
    metrics: Mapping[str, Tensor | float], prefix: str = ''
) -> list[dict[str, str | float | None]]:
    """Arrange flat metrics in a table: a row per score, a column per region.

    Args:
        metrics: metrics named ``<prefix><region>_<score>``, as :class:`RegionMetrics` and
            :class:`ReconstructionMetrics` compute them. Other names are left out.
        prefix: beginning of the names, such as ``test_``.

    Returns:
        rows in the order in which the scores first come up; each has the name of the ``score`` and
        a number for every region, None where the region has no such score. Ready for
        :class:`csv.DictWriter`, :func:`json.dump` or :class:`pandas.DataFrame`.

    Example:
        >>> region_table({'all_OA': 0.9, 'clear_OA': 0.95, 'cloudy_OA': 0.8})
        [{'score': 'OA', 'all': 0.9, 'clear': 0.95, 'cloudy': 0.8}]
    """
    rows: dict[str, dict[str, str | float | None]] = {}
    for name, value in metrics.items():
        region, _, score = name.removeprefix(prefix).partition('_')
        if name.startswith(prefix) and region in REGIONS and score:
            row = rows.setdefault(score, {'score': score, **dict.fromkeys(REGIONS)})
            row[region] = float(value)
    return list(rows.values())
