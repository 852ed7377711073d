"""Where indices are kept between runs: GeoParquet files in a folder that can be written to."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import geopandas as gpd
import pyarrow as pa

from .._files import replacing

logger = logging.getLogger(__name__)

#: Where an index is kept: a folder, False for nowhere, None for the default places.
IndexDir = str | Path | Literal[False] | None

#: Environment variable that names a folder for the indices of all data sets.
FOLDER_VARIABLE = 'CLOUDSEG_CACHE'

#: Version of the columns; tables of another version are made anew.
VERSION = 2

#: Folder below the root of a data set that holds its index.
FOLDER = '.cloudseg'


@dataclass(frozen=True)
class IndexStore:
    """Where the tables of a data set are kept between runs.

    Tables are looked for in *index_dir* if it is given, else in the folder that the environment
    variable ``CLOUDSEG_CACHE`` names, in ``<root>/.cloudseg``, and in the user's cache folder.
    They are written to the first of these that can be written to. Several processes may do so at
    once: a table appears as a whole or not at all, and the last one wins.
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
        absolute = str(Path(self.root).absolute())
        mark = hashlib.sha256(absolute.encode()).hexdigest()[:16]
        if self.index_dir is not None:
            return [Path(self.index_dir) / f'{Path(name).stem}-{mark}.parquet']
        user = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'cloudseg'
        named = os.environ.get(FOLDER_VARIABLE)
        folders = [Path(named) / mark] if named else []
        folders += [Path(self.root) / FOLDER, user / mark]
        return [folder / name for folder in folders]

    def read(self, name: str, columns: Sequence[str], key: str) -> gpd.GeoDataFrame | None:
        """Read a table.

        Args:
            name: name of the file.
            columns: columns that the table must have.
            key: the one of them whose values are all different.

        Returns:
            the table; None where there is no sound one.
        """
        for path in self.places(name):
            try:
                if not path.exists():
                    continue
                table = gpd.read_parquet(path)
                _check_columns(table, columns, key)
            except (OSError, ValueError, KeyError, pa.ArrowException) as error:
                logger.warning('%s: unusable index (%s); it is made anew.', path, error)
            else:
                return table
        return None

    def write(self, name: str, table: gpd.GeoDataFrame) -> Path | None:
        """Write a table to the first folder that takes it.

        Args:
            name: name of the file.
            table: the table.

        Returns:
            the file; None where no folder can be written to.
        """
        places = self.places(name)
        for path in places:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as draft:
                    table.to_parquet(draft)
            except OSError as error:
                logger.info('%s cannot be written: %s', path, error)
            else:
                return path
        if places:
            logger.warning(
                'The index of %s is not kept, and made anew each time: none of %s can be written '
                'to. Set %s to a folder.',
                self.root,
                ', '.join(str(path.parent) for path in places),
                FOLDER_VARIABLE,
            )
        return None


def table_name(stem: str, *facts: object) -> str:
    """Name of the file for a table; another one when what the table depends on changes.

    Args:
        stem: beginning of the name.
        facts: what the table depends on; their text is compared.

    Returns:
        the name.
    """
    digest = hashlib.sha256(repr((VERSION, *facts)).encode()).hexdigest()[:12]
    return f'{stem}-{digest}.parquet'


def size_and_time(path: str) -> tuple[int, int]:
    """Size and time of change of a file.

    Args:
        path: the file.

    Returns:
        bytes and nanoseconds; -1 where there is no such file.
    """
    try:
        state = os.stat(path)  # noqa: PTH116 - faster, for every one of many files
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


def relative_path(path: str, root: str) -> str:
    """A path as seen from a root; unchanged where it is not below it."""
    return path.removeprefix(f'{root}{os.sep}')


def _check_columns(table: gpd.GeoDataFrame, columns: Sequence[str], key: str) -> None:
    """Refuse a table that this package did not write.

    Raises:
        ValueError: if columns are missing, or a key is there twice.
    """
    missing = [name for name in columns if name not in table]
    if missing:
        raise ValueError(f'without the columns {missing}')
    if table[key].duplicated().any():
        raise ValueError(f'with a {key} in two rows')
