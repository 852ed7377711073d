"""Reading dates of one place on one grid."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import date
from pathlib import Path

from ..._choices import SarUnit
from ...datasets.products import day_in
from ...datasets.scene_spec import SceneSpec
from ...rasters import Resampling, name_of
from .pair_reader import ScenePairReader
from .plausibility import NoDataError

logger = logging.getLogger(__name__)


class SceneDates:
    """The open dates of a place, all read on the grid of the first one.

    Attributes:
        first: the first date, whose grid, bands and way to store values count.
        opened: all dates.
        dates: those that have data, once values are checked.
    """

    def __init__(
        self,
        paths: Sequence[tuple[str, str]],
        spec: SceneSpec,
        sar_resampling: Resampling = 'nearest',
        sar_unit: SarUnit | None = None,
    ) -> None:
        """Open the dates.

        Args:
            paths: the optical and the SAR raster of every date.
            spec: bands, ranges and nodata.
            sar_resampling: name of the resampling where SAR must be warped.
            sar_unit: what values of SAR images are.

        Raises:
            SceneError: if a file cannot be opened, has other bands or no place, or if two do not
                overlap.
        """
        self.opened: list[ScenePairReader] = []
        with ExitStack() as files:
            for pair in paths:
                onto = self.opened[0].optical if self.opened else None
                reader = ScenePairReader(*pair, spec, sar_resampling, sar_unit, onto)
                self.opened.append(files.enter_context(closing(reader)))
            self._files = files.pop_all()
        self.first, self.dates = self.opened[0], self.opened

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    @property
    def cache_bytes(self) -> int:
        """Block cache that holds two rows of blocks of any date: they are read one by one."""
        return max(reader.cache_bytes for reader in self.opened)

    def check_values(self, max_clipped: float) -> None:
        """Refuse dates whose values cannot be those of the training; leave out those without data.

        Args:
            max_clipped: share of values outside of their range that is accepted.

        Raises:
            NoDataError: if no date has data.
            SceneError: with what the values may be, and what to do about it.
        """
        found: list[ScenePairReader] = []
        empty: list[NoDataError] = []
        for reader in self.opened:
            try:
                reader.check_values(max_clipped)
            except NoDataError as error:
                empty.append(error)
            else:
                found.append(reader)
        if not found:
            raise empty[0]
        for problem in empty:
            logger.warning('%s: found %s; this date is left out.', problem.path, problem.found)
        self.dates = found


def in_order(paths: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Dates in an order that does not depend on the one in which they are given.

    Args:
        paths: the optical and the SAR raster of every date.

    Returns:
        the earliest first, those without a date by name after all others, each once.
    """
    return sorted(dict.fromkeys(paths), key=_order)


def _order(paths: tuple[str, str]) -> tuple[date, tuple[str, ...]]:
    names = tuple(map(name_of, paths))
    return day_in(Path(names[0]).name) or date.max, (*names, *paths)
