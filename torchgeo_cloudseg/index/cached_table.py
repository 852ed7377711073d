"""Tables of files, one row per scene or file, kept as GeoParquet between runs and refreshed.

Opening files is what costs time. The facts that were read from a file are kept beside its size and
its time of change, and hold until one of these changes.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from .._files import replacing
from .._progress import progress_bar
from .._threads import Threads
from ..rasters import SceneError, file_state, gdal_name
from .footprints import project_each

logger = logging.getLogger(__name__)

#: Where an index is kept: a folder, False for nowhere, None for the default places.
IndexDir = str | Path | Literal[False] | None

#: Environment variable that names a folder for the indices of all data sets.
FOLDER_VARIABLE = 'CLOUDSEG_CACHE'

#: Version of the columns; tables of another version are made anew.
VERSION = 3

#: Folder below the root of a data set that holds its index.
FOLDER = '.cloudseg'

#: Rows read at the same time, to hide the latency of network disks. GDAL opens one file after
#: another all the same: more threads only wait for each other.
THREADS = 4

#: Files of which the state is asked in one go.
CHUNK = 256

#: What the libraries raise for a table that is damaged.
DAMAGED = (
    OSError, ValueError, TypeError, AttributeError, LookupError, RuntimeError, MemoryError,
    pa.ArrowException, shapely.errors.ShapelyError,
)  # fmt: skip

#: Reads the facts of a row of the listing, given by its position: values by column, with the
#: row's ``crs`` (text) and, under ``outline``, its shape in that CRS; or what is wrong.
ReadRow = Callable[[int], dict[str, Any] | list[SceneError]]


@dataclass(frozen=True)
class IndexStore:
    """Where the tables of a data set are kept between runs.

    Tables are looked for in *index_dir* if it is given, else in the folder that the environment
    variable ``CLOUDSEG_CACHE`` names, in ``<root>/.cloudseg`` where the root is a folder, and in
    the user's cache folder.
    They are written to the first of these that can be written to. Several processes may do so at
    once: a table appears as a whole or not at all, and the last one wins.

    Example:
        >>> store = IndexStore(str(folder), index_dir=False)
        >>> store.index_dir
        False
    """

    #: Root of the data set.
    root: str
    #: Where to keep tables.
    index_dir: IndexDir = None

    def places(self, name: str) -> list[Path]:
        """Files in which a table may be, the preferred one first.

        Args:
            name: name of the table.

        Returns:
            the files. Outside the root, they are apart from those of data sets elsewhere.
        """
        if self.index_dir is False:
            return []
        absolute = gdal_name(self.root)
        mark = hashlib.sha256(absolute.encode()).hexdigest()[:16]
        if self.index_dir is not None:
            return [Path(self.index_dir) / f'{Path(name).stem}-{mark}.parquet']
        named = os.environ.get(FOLDER_VARIABLE)
        folders = [Path(named) / mark] if named else []
        root = Path(absolute)
        # not below a name within an archive, nor where data sets have nothing in common
        folders += [root / FOLDER] if root.is_dir() and root != Path(root.anchor) else []
        folders += [folder / mark for folder in _user_folders()]
        return [folder / name for folder in folders]

    def read(
        self, names: Sequence[str], columns: Sequence[str], key: str
    ) -> gpd.GeoDataFrame | None:
        """Read a table.

        Args:
            names: names of files that serve, the preferred one first.
            columns: columns that the table must have.
            key: the one of them whose values are all different.

        Returns:
            the table; None where there is no sound one.
        """
        for path in chain.from_iterable(self.places(name) for name in names):
            try:
                if not path.exists():
                    continue
                table = gpd.read_parquet(
                    path, columns=list(columns), page_checksum_verification=True
                )
                if missing := set(columns) - set(table):
                    raise ValueError(f'without {sorted(missing)}')
                if table[key].duplicated().any():
                    raise ValueError(f'with a {key} in two rows')
            except DAMAGED as error:
                logger.warning('%s: unusable index (%s); it is made anew.', path, error)
            else:
                return table
        return None

    def write(self, name: str, table: gpd.GeoDataFrame) -> None:
        """Write a table to the first folder that takes it; say so where none does.

        Args:
            name: name of the file.
            table: the table.
        """
        places = self.places(name)
        for path in places:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as draft:
                    # a bit that is flipped would be another fact
                    table.to_parquet(draft, write_page_checksum=True)
            except OSError as error:
                logger.info('%s cannot be written: %s', path, error)
            else:
                return
        if places:
            logger.warning(
                'The index of %s is not kept, and made anew each time: none of %s can be written '
                'to. Set %s to a folder.',
                self.root,
                ', '.join(str(path.parent) for path in places),
                FOLDER_VARIABLE,
            )


def _user_folders() -> list[Path]:
    """The user's cache folder for our tables; none for a user without a home."""
    try:
        cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    except RuntimeError:
        return []
    return [Path(cache) / 'cloudseg']


def table_name(stem: str, *facts: object) -> str:
    """Name of the file for a table; another one when what the table depends on changes.

    Args:
        stem: beginning of the name.
        *facts: what the table depends on; their text is compared.

    Returns:
        the name.
    """
    digest = hashlib.sha256(repr((VERSION, *facts)).encode()).hexdigest()[:12]
    return f'{stem}-{digest}.parquet'


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
    #: Other columns of the listing that the facts depend on.
    given: Sequence[str] = ()
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
        below = f'{self.store.root}{os.sep}'
        paths = {key: [path.removeprefix(below) for path in listing[key]] for key in self.files}
        listed = listing.assign(**paths)
        state = [f'{key}{fact}' for key in self.files for fact in ('', '_size', '_mtime_ns')]
        same = list(dict.fromkeys([self.key, *self.given, *state]))
        known = self.store.read(self.names, [*listed, *self.facts, 'geometry'], self.key)
        stale, parts = listing.index, []
        if known is not None:
            sizes = [f'{key}_size' for key in self.files]
            # what is not on this machine may change unseen
            sure = listed[(listed[sizes] >= 0).all(axis=1)]
            fresh = known[[*same, *self.facts, 'geometry']].merge(sure[same].reset_index(), on=same)
            parts = [fresh.set_index('index')[[*self.facts, 'geometry']]] if len(fresh) else []
            stale = stale.difference(fresh['index'])
        rows, problems = self._read_rows(stale.to_numpy(), read, progress)
        if rows is not None:
            parts.append(rows)
        if not parts:
            return listing.iloc[:0], problems
        facts = pd.concat(parts).sort_index()
        table = facts.join(listed)
        if known is not None and partial:
            table = pd.concat([known[~known[self.key].isin(listed[self.key])], table])
        if rows is not None or known is None or len(known) > len(table):
            self.store.write(self.names[0], table.reset_index(drop=True))
        columns = pd.DataFrame(facts.drop(columns='geometry'))
        return listing.iloc[facts.index].join(columns).reset_index(drop=True), problems

    def _read_rows(
        self, rows: NDArray[np.intp], read: ReadRow, progress: bool
    ) -> tuple[gpd.GeoDataFrame | None, list[SceneError]]:
        """Facts of rows of a listing, by their position, with outlines in degrees."""
        found: dict[int, dict[str, Any]] = {}
        problems: list[SceneError] = []
        with Threads(THREADS) as pool:
            results = pool.map(read, rows.tolist())
            results = progress_bar(results, self.title, len(rows), disable=not progress, delay=1)
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
    with Threads(THREADS) as pool:
        for name, paths in files.items():
            listing[name] = paths
            # many at a time: handing one to a thread takes longer than asking for its state
            chunks = (paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK))
            states = chain.from_iterable(pool.map(sizes_and_times, chunks))
            sizes = np.array(list(states), np.int64).reshape(-1, 2)
            listing[f'{name}_size'], listing[f'{name}_mtime_ns'] = sizes.T
    return pd.DataFrame(listing)


def sizes_and_times(paths: Sequence[str]) -> list[tuple[int, int]]:
    """Bytes and nanoseconds of the last change of files; -1 where there is no such file."""
    states = []
    for path in paths:
        try:
            state: tuple[int, int] = file_state(path)
        except SceneError:
            state = -1, -1
        states.append(state)
    return states
