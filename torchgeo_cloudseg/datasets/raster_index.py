"""A cached index for any RasterDataset: one data set per CRS, made without opening known files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry
from torchgeo.datasets import DatasetNotFoundError, RasterDataset
from tqdm.auto import tqdm

from ..rasters import SceneError, ScenesError, crs_string, read_header
from .footprints import project
from .index_store import IndexDir, IndexStore, absolute_path, file_state, relative_path

#: Version of the table's columns; tables of another one are made anew.
VERSION = 1

#: Columns of the table: the file and its state, its CRS, its outline in that CRS (well-known
#: binary), the time it was taken, and its outline in degrees.
COLUMNS = ('filepath', 'size', 'mtime_ns', 'crs', 'native', 'mint', 'maxt', 'geometry')

#: Endings of files that GDAL and geographic information systems put beside rasters.
SIDECARS = ('.aux.xml', '.ovr')

#: Files opened at the same time, to hide the latency of network disks.
THREADS = 4

#: Below this number of files a progress bar would only flicker.
MIN_FILES_FOR_PROGRESS = 200

#: Makes a data set of some files; what else it takes is settled already.
Make = Callable[[Sequence[str]], RasterDataset]


class _Row(NamedTuple):
    """What TorchGeo's own index says of one file."""

    crs: str
    outline: BaseGeometry
    mint: pd.Timestamp
    maxt: pd.Timestamp


class _Listed(Exception):
    """The files that a data set would open."""

    def __init__(self, files: list[str]) -> None:
        super().__init__()
        self.files = files


def datasets_by_crs(
    kind: type[RasterDataset],
    paths: str | Path | Iterable[str | Path],
    index_dir: IndexDir = None,
    progress: bool = True,
    **kwargs: Any,
) -> list[RasterDataset]:
    """Index the files of a RasterDataset, and make a data set of those in each CRS.

    The index has what TorchGeo's own would have, file by file. It is kept as GeoParquet; files
    that have not changed in size or time since are not opened again.

    Args:
        kind: the class, whose first argument is ``paths``.
        paths: one or more root directories to search or files to load.
        index_dir: folder in which the index is kept; False to make it anew each time. Defaults to
            the folder that the environment variable ``CLOUDSEG_CACHE`` names, else ``.cloudseg``
            beside the files, or the user's cache folder where that cannot be written to.
        progress: show a progress bar where many files are to be opened.
        **kwargs: further arguments of *kind*, but ``crs``.

    Returns:
        one data set per CRS, in the order of their names.

    Raises:
        DatasetNotFoundError: if there is no file.
        ScenesError: if files cannot be opened; all of them are named.
        ValueError: if *crs* is given.
    """
    if kwargs.get('crs') is not None:
        raise ValueError(
            f'crs={kwargs["crs"]!r} would warp all files to it. '
            f'Use {kind.__name__}(paths, crs=...) for that.'
        )
    places = [paths] if isinstance(paths, str | Path) else list(paths)

    def make(files: Sequence[str | Path]) -> RasterDataset:
        return kind(files, **kwargs)

    files = _list_files(kind, places, kwargs)
    root = str(places[0]) if len(places) == 1 and Path(places[0]).is_dir() else _common(files)
    name = _table_name(kind, kwargs)
    table = _refresh(IndexStore(root, index_dir), name, files, make, progress)
    return [_of_one_crs(make, part, str(crs)) for crs, part in table.groupby('crs', sort=True)]


def _list_files(
    kind: type[RasterDataset], places: Sequence[str | Path], kwargs: dict[str, Any]
) -> list[str]:
    """Files that the data set would open: it is stopped when it asks for them.

    Many classes work out their ``filename_glob`` from their arguments, so that only an instance
    knows it.

    Raises:
        DatasetNotFoundError: if there is no file.
    """

    def stop(self: RasterDataset) -> list[str]:
        every: list[str] = kind.files.fget(self)  # type: ignore[attr-defined]
        fits = re.compile(self.filename_regex, re.VERBOSE).match
        found = [file for file in every if fits(Path(file).name) and not file.endswith(SIDECARS)]
        raise _Listed([file for file in found if not Path(file).is_dir()])

    listing = type(kind.__name__, (kind,), {'files': property(stop)})
    try:
        dataset = listing(places, **kwargs)
    except _Listed as listed:
        if listed.files:
            return listed.files
        missing: Any = kind.__new__(kind)
        missing.paths = places
        raise DatasetNotFoundError(missing) from None
    raise TypeError(f'{type(dataset).__name__} does not index `files`: it is no RasterDataset.')


def _common(files: Sequence[str]) -> str:
    """Folder above all files."""
    return os.path.commonpath([Path(file).parent for file in files])


def _table_name(kind: type[RasterDataset], kwargs: dict[str, Any]) -> str:
    """Name of the file for the index of a class; another one when its facts change."""
    names = ('filename_glob', 'filename_regex', 'date_format', 'mint', 'maxt')
    facts = [str(getattr(kind, name, None)) for name in names]
    facts += [str(VERSION), kind.__module__, kind.__qualname__, repr(kwargs.get('bands'))]
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    return f'{kind.__name__}-{digest}.parquet'


def _refresh(
    store: IndexStore, name: str, files: Sequence[str], make: Make, progress: bool
) -> gpd.GeoDataFrame:
    """The table of some files, brought up to date."""
    states = np.array([file_state(file) for file in files], np.int64)
    known = store.read(name, COLUMNS, 'filepath')
    listed = pd.Index([relative_path(file, store.root) for file in files])
    fresh = np.zeros(len(files), bool)
    parts: list[gpd.GeoDataFrame] = []
    if known is not None:
        position = pd.Index(known['filepath']).get_indexer(listed)
        same = known[['size', 'mtime_ns']].to_numpy()[position] == states
        fresh = (position >= 0) & same.all(axis=1)
        parts.append(known.iloc[position[fresh]])
    if not fresh.all():
        stale = [file for file, is_fresh in zip(files, fresh, strict=True) if not is_fresh]
        parts.append(_read(stale, states[~fresh], make, store.root, progress))
    table = pd.concat(parts) if len(parts) > 1 else parts[0]
    order = pd.Index(table['filepath']).get_indexer(listed)
    table = table.iloc[order].reset_index(drop=True)
    if known is None or not fresh.all() or len(known) != len(table):
        store.write(name, table)
    table['filepath'] = [absolute_path(file, store.root) for file in table['filepath']]
    return table


def _read(
    files: Sequence[str], states: NDArray[np.int64], make: Make, root: str, progress: bool
) -> gpd.GeoDataFrame:
    """Rows of files that are not known yet.

    Raises:
        ScenesError: if files cannot be opened.
    """
    problems: list[SceneError] = []
    rows: list[_Row] = []
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda file: _row(file, make), files)
        hidden = not progress or len(files) < MIN_FILES_FOR_PROGRESS
        for row in tqdm(found, 'Indexing files', len(files), disable=hidden):
            if isinstance(row, SceneError):
                problems.append(row)
            else:
                rows.append(row)
    if problems:
        raise ScenesError(problems)
    crs = pd.Series([row.crs for row in rows])
    outlines = gpd.GeoSeries([row.outline for row in rows])
    degrees = [project(outlines[crs == one].set_crs(one), 'EPSG:4326') for one in crs.unique()]
    columns = {
        'filepath': [relative_path(file, root) for file in files],
        'size': states[:, 0],
        'mtime_ns': states[:, 1],
        'crs': crs,
        'native': shapely.to_wkb(outlines.to_numpy()),
        'mint': pd.to_datetime([row.mint for row in rows]).as_unit('ns'),
        'maxt': pd.to_datetime([row.maxt for row in rows]).as_unit('ns'),
    }
    return gpd.GeoDataFrame(columns, geometry=pd.concat(degrees).sort_index(), crs='EPSG:4326')


def _row(file: str, make: Make) -> _Row | SceneError:
    """What TorchGeo says of a file, or why it says nothing."""
    try:
        index = make([file]).index
    except Exception:  # TorchGeo leaves out what cannot be opened, and may fail without a CRS
        remedy = 'Restore the file, or narrow `filename_glob` down to the files of the data set.'
        try:
            header = read_header(file)
        except SceneError as error:
            return SceneError(file, error.found, error.expected, remedy)
        if header.crs:
            raise
        return SceneError(file, 'no CRS', 'a georeferenced file', remedy)
    times = index.index
    return _Row(crs_string(index.crs), index.geometry.iloc[0], times.left[0], times.right[0])


def _of_one_crs(make: Make, table: pd.DataFrame, crs: str) -> RasterDataset:
    """A data set of files in one CRS, of which it has opened only one."""
    dataset = make([table['filepath'].iloc[0]])
    dataset.paths = table['filepath'].to_list()
    times = pd.IntervalIndex.from_arrays(
        table['mint'], table['maxt'], closed='both', name='datetime'
    )
    outlines = shapely.from_wkb(table['native'].to_numpy())
    columns = {'filepath': table['filepath'].to_numpy()}
    dataset.index = gpd.GeoDataFrame(columns, index=times, geometry=outlines, crs=crs)
    return dataset
