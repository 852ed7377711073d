"""A table of files, one row per scene or file, kept as GeoParquet and refreshed.

Opening files is what costs time. The facts that were read from a file are kept beside its size and
its time of change, and hold until one of these changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..rasters import SceneError
from .footprints import project_each
from .index_store import IndexStore, relative_path, size_and_time

#: Rows read at the same time, to hide the latency of network disks. GDAL opens one file after
#: another all the same: more threads only wait for each other.
THREADS = 4

#: Files of which the state is asked in one go.
CHUNK = 256

#: Below this number of rows a progress bar would only flicker.
MIN_ROWS_FOR_PROGRESS = 200

#: Reads the facts of a row of the listing, given by its position: values by column, with the
#: row's ``crs`` (text) and, under ``outline``, its shape in that CRS; or what is wrong.
ReadRow = Callable[[int], dict[str, Any] | list[SceneError]]


@dataclass(frozen=True)
class CachedTable:
    """Where the facts about some files are kept, and what they are."""

    #: The folders that may hold the table.
    store: IndexStore
    #: Names of table files that serve; the first of them is written.
    names: Sequence[str]
    #: Column of the listing whose values are all different.
    key: str
    #: Columns of the listing that hold files.
    files: Sequence[str]
    #: Columns that are read from files.
    facts: Sequence[str]
    #: Text of the progress bar.
    title: str = 'Indexing files'

    def refresh(
        self, listing: pd.DataFrame, read: ReadRow, partial: bool = False, progress: bool = True
    ) -> tuple[pd.DataFrame, list[SceneError]]:
        """Add the facts to a listing; read only what is new or has changed.

        Args:
            listing: one row per scene or file, see :func:`list_files`.
            read: reads a row that is not known yet, or not any more.
            partial: True where the listing does not name all rows there are: the others stay in
                the table.
            progress: show a progress bar where many rows are to be read.

        Returns:
            the sound rows of the listing with their facts, in its order, and what is wrong with
            the others.
        """
        if listing.empty:
            return listing, []
        kept_form = listing.assign(
            **{key: [relative_path(f, self.store.root) for f in listing[key]] for key in self.files}
        )
        known = self._known(list(listing.columns))
        position = self._find(kept_form, known)
        fresh = position >= 0
        parts = []
        if known is not None and fresh.any():
            parts.append(known[[*self.facts, 'geometry']].iloc[position[fresh]])
            parts[0].index = np.flatnonzero(fresh)
        stale = np.flatnonzero(~fresh)
        rows, problems = self._read_rows(stale, read, progress)
        if rows is not None:
            parts.append(rows)
        if not parts:
            return listing.iloc[:0], problems
        facts = pd.concat(parts).sort_index() if len(parts) > 1 else parts[0]
        table = facts.join(kept_form, how='left')
        if known is not None and partial:
            others = known[~known[self.key].isin(kept_form[self.key])]
            table = pd.concat([others, table]) if len(others) else table
        if rows is not None or known is None or len(known) > len(table):
            self.store.write(self.names[0], table.reset_index(drop=True))
        sound = listing if len(facts) == len(listing) else listing.iloc[facts.index]
        columns = pd.DataFrame(facts.drop(columns='geometry'))
        return pd.concat([sound, columns], axis=1).reset_index(drop=True), problems

    def _known(self, listed: list[str]) -> gpd.GeoDataFrame | None:
        """The table as it was kept; None where there is no sound one."""
        columns = [*listed, *self.facts, 'geometry']
        for name in self.names:
            table = self.store.read(name, columns, self.key)
            if table is not None:
                return table[columns]
        return None

    def _find(self, listing: pd.DataFrame, known: gpd.GeoDataFrame | None) -> NDArray[np.intp]:
        """Row of the table for each row of a listing; -1 where none has the same files."""
        if known is None:
            return np.full(len(listing), -1)
        if len(known) == len(listing) and np.array_equal(known[self.key], listing[self.key]):
            position = np.arange(len(listing))
        else:
            position = pd.Index(known[self.key]).get_indexer(listing[self.key])
        same = position >= 0
        for file in self.files:
            for column in (file, f'{file}_size', f'{file}_mtime_ns'):
                same &= known[column].to_numpy()[position] == listing[column].to_numpy()
        return np.where(same, position, -1)

    def _read_rows(
        self, rows: NDArray[np.intp], read: ReadRow, progress: bool
    ) -> tuple[gpd.GeoDataFrame | None, list[SceneError]]:
        """Facts of rows of a listing, by their position, with outlines in degrees."""
        found: dict[int, dict[str, Any]] = {}
        problems: list[SceneError] = []
        hidden = not progress or len(rows) < MIN_ROWS_FOR_PROGRESS
        with ThreadPoolExecutor(THREADS) as pool:
            results = tqdm(pool.map(read, rows.tolist()), self.title, len(rows), disable=hidden)
            for row, result in zip(rows.tolist(), results, strict=True):
                if isinstance(result, list):
                    problems += result
                else:
                    found[row] = result
        if not found:
            return None, problems
        facts = pd.DataFrame(list(found.values()), index=list(found))
        outlines = np.array(facts.pop('outline'), dtype=object)
        geometry = project_each(outlines, facts['crs'].to_numpy(), 'EPSG:4326')
        return gpd.GeoDataFrame(facts, geometry=geometry, crs='EPSG:4326'), problems


def list_files(
    columns: Mapping[str, Sequence[Any]], files: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """List scenes or files with the present state of their files.

    Args:
        columns: what is known of the rows already, by column.
        files: one or several files of each row, by column.

    Returns:
        the columns, and for every file its path under its column, ``<column>_size`` (bytes; -1
        where there is no such file) and ``<column>_mtime_ns``.
    """
    listing: dict[str, Any] = dict(columns)
    with ThreadPoolExecutor(THREADS) as pool:
        for name, paths in files.items():
            listing[name] = paths
            # many at a time: handing one to a thread takes longer than asking for its state
            chunks = (paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK))
            states = chain.from_iterable(pool.map(_states, chunks))
            sizes = np.array(list(states), np.int64).reshape(-1, 2)
            listing[f'{name}_size'], listing[f'{name}_mtime_ns'] = sizes.T
    return pd.DataFrame(listing)


def _states(paths: Sequence[str]) -> list[tuple[int, int]]:
    return [size_and_time(path) for path in paths]
