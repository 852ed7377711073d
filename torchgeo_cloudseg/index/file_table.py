"""The table of files: where each of them lies, whatever they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import shapely

from ..rasters import SceneError, read_header
from .cached_table import CachedTable, IndexStore, list_files, table_name
from .footprints import project_each

#: Facts of a file that are read from its header; ``native`` is its outline in *crs* (well-known
#: binary).
FACTS = ('crs', 'native')


def read_file_table(
    paths: Sequence[str], store: IndexStore, name: str, progress: bool = True
) -> tuple[pd.DataFrame, list[SceneError]]:
    """Read where files lie; only those that are new or have changed are opened.

    Args:
        paths: the files, all different.
        store: where the table is kept.
        name: name of the table.
        progress: show a progress bar where many files are to be opened.

    Returns:
        a table of the sound files, in their order: ``path``, ``crs`` (text) and ``outline`` in
        degrees, and what is wrong with the others.
    """
    table = CachedTable(store, [table_name(name)], 'path', ['path'], FACTS)

    def read(row: int) -> dict[str, Any] | list[SceneError]:
        path = paths[row]
        try:
            header = read_header(path)
        except SceneError as error:
            return [error]
        if not header.crs:
            remedy = 'Pair by name, or give the files a georeference.'
            return [SceneError(path, 'no CRS', 'a georeferenced file, to pair by place', remedy)]
        outline = shapely.box(*header.grid.bounds)
        values = (header.crs, shapely.to_wkb(outline))
        return {**dict(zip(FACTS, values, strict=True)), 'outline': outline}

    listing = list_files({}, {'path': paths})
    found, problems = table.refresh(listing, read, partial=True, progress=progress)
    if found.empty:
        return pd.DataFrame({'path': [], 'crs': [], 'outline': []}), problems
    native = shapely.from_wkb(found['native'].to_numpy())
    outlines = project_each(native, found['crs'].to_numpy(), 'EPSG:4326')
    return found[['path', 'crs']].assign(outline=outlines), problems
