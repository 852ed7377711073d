"""Metrics by region as the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .regions import REGIONS


def region_table(
    metrics: Mapping[str, Tensor | float], prefix: str = ''
) -> list[dict[str, str | float | None]]:
    """Arrange flat metrics in a table: a row per score, a column per region.

    Args:
        metrics: metrics named ``<prefix><region>_<score>``, as :class:`RegionMetrics` and
            :class:`ReconstructionMetrics` compute them. Other names are left out.
        prefix: beginning of the names, such as 'test_'.

    Returns:
        rows in the order in which the scores first come up; each has the name of the ``score`` and
        a number for every region, None where the region has no such score. Ready for
        :class:`csv.DictWriter`, :func:`json.dump` or :class:`pandas.DataFrame`.
    """
    rows: dict[str, dict[str, str | float | None]] = {}
    for name, value in metrics.items():
        region, _, score = name.removeprefix(prefix).partition('_')
        if name.startswith(prefix) and region in REGIONS and score:
            row = rows.setdefault(score, {'score': score, **dict.fromkeys(REGIONS)})
            row[region] = float(value)
    return list(rows.values())
