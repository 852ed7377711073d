"""Dividing the scenes of a folder into those for training, validation and testing."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from ...index import project_each
from ...rasters.text import read_text
from ..zoned import GLOBAL_CRS

logger = logging.getLogger(__name__)

SPLITS = ('train', 'val', 'test')

#: Scenes as close as this share of their shorter side count as neighbors.
NEIGHBORS = 0.02

#: A group of scenes that touch each other stays together if it is no larger than this share of
#: the smallest split.
WHOLE_GROUP = 0.5

#: Side of a block, in sides of an average scene, where nobody says: a block is about the smallest
#: split, within these limits. The larger, the fewer scenes lie at its edge and are lost.
BLOCK_SIDES = (4, 16)


@dataclass(frozen=True)
class Division:
    """How scenes are divided into training, validation and test.

    Attributes:
        by: ``blocks`` of ground (scenes that touch or overlap are never in two splits),
            ``lists`` of names, the ``column`` of a table, or the ``date`` of the image.
        val: share of the scenes that is for validation, with ``blocks``.
        test: share of the scenes that is for testing, with ``blocks``.
        cut_px: rows and columns of the parts into which scenes are cut first, such as a few large
            ones that are to be divided in themselves; parts count and are named as scenes
            (defaults to whole scenes).
        block_m: side of the blocks in meters, for scenes that cover more ground without a gap
            than fits into a split (defaults to a few sides of a scene).
        lists: text file with the names of its scenes for each split.
        table: CSV file with a column ``name``.
        column: its column that says ``train``, ``val`` or ``test``; scenes with something else
            are left out.
        dates: first and last day of each split, such as ``[2021-01-01, 2021-12-31]``.

    Example:
        >>> years = {'train': ('2020-01-01', '2021-12-31'), 'test': ('2022-01-01', '2022-12-31')}
        >>> Division('date', dates=years).by
        'date'
    """

    by: Literal['blocks', 'lists', 'column', 'date'] = 'blocks'
    val: float = 0.1
    test: float = 0.2
    cut_px: int | None = None
    block_m: float | None = None
    lists: dict[str, str] | None = None
    table: str | None = None
    column: str = 'split'
    dates: dict[str, tuple[str, str]] | None = None

    def __post_init__(self) -> None:
        """Check that all is given that the rule needs.

        Raises:
            ValueError: if it is not, or shares are none.
        """
        needed = {'lists': self.lists, 'column': self.table, 'date': self.dates}
        if self.by in needed and not needed[self.by]:
            name = {'column': 'table', 'date': 'dates'}.get(self.by, self.by)
            raise ValueError(f'division: by={self.by!r} needs `{name}`.')
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test < 1):
            raise ValueError(
                f'division: val={self.val}, test={self.test}: expected shares of which something '
                'is left for training.'
            )
        if self.cut_px is not None and self.cut_px < 1:
            raise ValueError(f'division: cut_px={self.cut_px}: expected a positive number.')

    def divide(self, scenes: pd.DataFrame, root: Path) -> NDArray[np.object_]:
        """The split of each scene.

        Args:
            scenes: table of all scenes, see :func:`~torchgeo_cloudseg.index.read_scene_table`.
            root: root of the data set, for relative files.

        Returns:
            ``train``, ``val``, ``test``, or an empty string for a scene that is left out.

        Raises:
            ValueError: if a list or a table names scenes that are not there.
        """
        if self.by == 'blocks':
            return self._by_blocks(scenes)
        if self.by == 'date':
            return self._by_date(scenes)
        named = self._listed(root) if self.by == 'lists' else self._tabled(root)
        unknown = named.keys() - set(scenes['scene'])
        if unknown:
            raise ValueError(
                f'division: {sorted(unknown)[:5]} are named, but there is no such scene; names are '
                f'such as {scenes["scene"].iloc[0]!r}. Correct the names.'
            )
        return np.array([named.get(name, '') for name in scenes['scene']], object)

    def _listed(self, root: Path) -> dict[str, str]:
        named: dict[str, str] = {}
        for split, path in (self.lists or {}).items():
            lines = read_text(root / path).splitlines()
            named |= {line.strip(): split for line in lines if line.strip()}
        return named

    def _tabled(self, root: Path) -> dict[str, str]:
        path = root / str(self.table)
        table = pd.read_csv(path, dtype=str)
        missing = {'name', self.column} - set(table)
        if missing:
            raise ValueError(
                f'{path}: found the columns {list(table)}, expected {sorted(missing)}. Name the '
                'column of the split by `column`; that of the scenes is called `name`.'
            )
        rows = table[table[self.column].isin(SPLITS)]
        return dict(zip(rows['name'], rows[self.column], strict=True))

    def _by_date(self, scenes: pd.DataFrame) -> NDArray[np.object_]:
        splits = np.full(len(scenes), '', object)
        for split, (first, last) in (self.dates or {}).items():
            after, before = pd.Timestamp(first), pd.Timestamp(last) + pd.Timedelta('1D')
            known = scenes['mint'] > pd.Timestamp.min
            splits[known & (scenes['mint'] >= after) & (scenes['mint'] < before)] = split
        if not (scenes['mint'] > pd.Timestamp.min).any():
            raise ValueError(
                f'division: no name tells a date, such as {scenes["scene"].iloc[0]!r}. Expected '
                'days such as 20200701 in the names of files.'
            )
        return splits

    def _by_blocks(self, scenes: pd.DataFrame) -> NDArray[np.object_]:
        outlines = _outlines(scenes)
        west, south, east, north = shapely.bounds(outlines).T
        sides = np.minimum(east - west, north - south)
        grown = shapely.buffer(outlines, NEIGHBORS * sides, join_style='mitre')
        first, second = shapely.STRtree(outlines).query(grown, predicate='intersects')
        areas = shapely.get_parts(shapely.union_all(grown))
        groups = shapely.STRtree(areas).query(shapely.centroid(outlines), predicate='within')[1]
        units = _first_names(scenes['scene'].to_numpy(object), groups)
        counts = np.bincount(groups)
        shares = [share for share in (self.val, self.test) if share > 0]
        large = counts[groups] > max(1, WHOLE_GROUP * min(shares, default=1) * len(scenes))
        if large.any():
            count = np.clip(np.sqrt(min(shares, default=1) * large.sum()), *BLOCK_SIDES)
            block = self.block_m or float(count * np.median(sides))
            x, y = (
                np.floor(c / block).astype(int) for c in ((west + east) / 2, (south + north) / 2)
            )
            units[large] = [f'{i} {j}' for i, j in zip(x[large], y[large], strict=True)]
        splits = self._share_out(units)
        # a neighbor of what is tested would tell of it
        for kept, dropped in (('test', 'train'), ('test', 'val'), ('val', 'train')):
            near = np.zeros(len(scenes), bool)
            near[first[splits[second] == kept]] = True
            near[second[splits[first] == kept]] = True
            splits[near & (splits == dropped)] = ''
        left_out = int((splits == '').sum())
        if left_out:
            logger.info(
                '%d of %d scenes touch scenes of another split, and are in none.',
                left_out,
                len(scenes),
            )
        return splits

    def _share_out(self, units: NDArray[np.object_]) -> NDArray[np.object_]:
        """Splits of units, ranked by a hash of their names: the same ones on every machine."""
        names: NDArray[np.str_]
        names, positions, counts = np.unique(
            units.astype(str), return_inverse=True, return_counts=True
        )
        hashes = [hashlib.sha256(name.encode()).hexdigest() for name in names.tolist()]
        ranked = np.argsort(hashes).tolist()
        chosen = np.full(len(names), 'train', object)
        free = ranked
        for split, share in (('test', self.test), ('val', self.val)):
            wanted, taken = share * len(units), 0
            rest = []
            for i in free:
                # the last unit is for training
                enough = taken > 0 and taken + counts[i] / 2 > wanted
                if share > 0 and not enough and len(free) > 1 and i != ranked[-1]:
                    chosen[i] = split
                    taken += int(counts[i])
                else:
                    rest.append(i)
            free = rest
        return chosen[positions]


def _outlines(scenes: pd.DataFrame) -> NDArray[np.object_]:
    """Outlines of scenes in a CRS of equal area, in meters."""
    left, top, xres, yres, height, width = (
        scenes[name].to_numpy(float) for name in ('left', 'top', 'xres', 'yres', 'height', 'width')
    )
    boxes = shapely.box(left, top - yres * height, left + xres * width, top)
    return project_each(boxes, scenes['crs'].to_numpy(object), GLOBAL_CRS)


def _first_names(names: NDArray[np.object_], groups: NDArray[Any]) -> NDArray[np.object_]:
    """For every scene the first name in its group."""
    table = pd.DataFrame({'name': names, 'group': groups})
    first: NDArray[np.object_] = table.groupby('group')['name'].transform('min').to_numpy(object)
    return first.copy()
