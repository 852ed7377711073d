"""The index of any RasterDataset: one data set per CRS, made without opening known files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely
from torchgeo.datasets import DatasetNotFoundError, RasterDataset

from ..rasters import (
    SceneError,
    ScenesError,
    crs_string,
    gdal_name,
    is_local,
    read_header,
    seeing_sidecars,
)
from ..rasters.errors import GDAL_ERRORS
from .cached_table import CachedTable, IndexDir, IndexStore, list_files, table_name

#: What TorchGeo's own index says of a file: its CRS, its outline in that CRS (well-known binary),
#: and the time it was taken.
FACTS = ('crs', 'native', 'mint', 'maxt')

#: Endings of files that GDAL and geographic information systems put beside rasters.
SIDECARS = ('.aux.xml', '.ovr')

#: Arguments of a RasterDataset that do not change its index.
NOT_OF_THE_INDEX = ('transforms', 'cache', 'res')

#: What TorchGeo raises for a file that it cannot use.
UNUSABLE = (*GDAL_ERRORS, OSError, RuntimeError, ValueError, TypeError, AttributeError, LookupError)

#: Makes a data set of some files; what else it takes is settled already.
Make = Callable[[Sequence[str]], RasterDataset]


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

    Example:
        >>> from torchgeo.datasets import RasterDataset
        >>> class Optical(RasterDataset):
        ...     filename_glob = 'planet_cloudy*.tif'
        >>> [dataset.crs.to_epsg() for dataset in datasets_by_crs(Optical, root, progress=False)]
        [32646]
    """
    if kwargs.get('crs') is not None:
        raise ValueError(
            f'crs={kwargs["crs"]!r} would warp all files to it. '
            f'Use {kind.__name__}(paths, crs=...) for that.'
        )
    given = [paths] if isinstance(paths, str | Path) else paths
    # TorchGeo 0.10 knows archives by the names that GDAL has for them only
    places = [place if is_local(str(place)) else gdal_name(place) for place in given]

    def make(files: Sequence[str | Path]) -> RasterDataset:
        with seeing_sidecars():
            return kind(files, **kwargs)

    files = _list_files(kind, places, kwargs)
    # by names that mean the same in whatever way and from wherever they are written
    names = [gdal_name(file) for file in files]
    whole = len(places) == 1 and Path(places[0]).is_dir()
    root = gdal_name(places[0]) if whole else os.path.commonpath(map(os.path.dirname, names))
    table = CachedTable(
        store=IndexStore(root, index_dir),
        names=[_table_name(kind, kwargs)],
        key='filepath',
        files=['filepath'],
        facts=FACTS,
    )
    found, problems = table.refresh(
        list_files({}, {'filepath': names}),
        lambda row: _read_row(files[row], make),
        partial=not whole,
        progress=progress,
    )
    if len(found):
        found['filepath'] = found['filepath'].map(dict(zip(names, files, strict=True)))
    if problems:
        raise ScenesError(problems)
    return [_of_one_crs(make, part, str(crs)) for crs, part in found.groupby('crs', sort=True)]


def _list_files(
    kind: type[RasterDataset], places: Sequence[str | Path], kwargs: dict[str, Any]
) -> list[str]:
    """Files that the data set would open: it is asked for them, and told that there are none.

    Many classes work out their ``filename_glob`` from their arguments, so that only an instance
    knows it.

    Returns:
        their paths.

    Raises:
        DatasetNotFoundError: if there is no file.
    """
    found: list[str] = []

    def note(self: RasterDataset) -> list[str]:
        every: list[str] = kind.files.fget(self)  # type: ignore[attr-defined]
        fits = re.compile(self.filename_regex, re.VERBOSE).match
        for file in every:
            name = Path(file).name
            # '._a.tif' is what macOS puts beside 'a.tif' on disks of others
            beside = name.startswith('._') or name.endswith(SIDECARS)
            if fits(name) and not beside and not Path(file).is_dir():
                found.append(file)
        return []

    try:
        type(kind.__name__, (kind,), {'files': property(note)})(places, **kwargs)
    except DatasetNotFoundError:
        if not found:
            raise
    return found


def _table_name(kind: type[RasterDataset], kwargs: dict[str, Any]) -> str:
    """Name of the file for the index of a class; another one when its facts change."""
    names = ('filename_glob', 'filename_regex', 'date_format', 'mint', 'maxt')
    facts = [str(getattr(kind, name, None)) for name in names]
    given = sorted((key, repr(kwargs[key])) for key in kwargs if key not in NOT_OF_THE_INDEX)
    return table_name(kind.__name__, facts, kind.__module__, kind.__qualname__, given)


def _read_row(file: str, make: Make) -> dict[str, Any] | list[SceneError]:
    """What TorchGeo says of a file, or why it says nothing."""
    try:
        index = make([file]).index
    except UNUSABLE:  # TorchGeo leaves out what cannot be opened, and may fail without a CRS
        remedy = 'Restore the file, or narrow `filename_glob` down to the files of the data set.'
        try:
            header = read_header(file)
        except SceneError as error:
            return [SceneError(file, error.found, error.expected, remedy)]
        if header.crs:
            raise
        return [SceneError(file, 'no CRS', 'a georeferenced file', remedy)]
    outline, times = index.geometry.iloc[0], index.index
    mint, maxt = times.left.as_unit('ns')[0], times.right.as_unit('ns')[0]
    values = (crs_string(index.crs), shapely.to_wkb(outline), mint, maxt)
    return {**dict(zip(FACTS, values, strict=True)), 'outline': outline}


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
