"""The table of scenes: which files belong together, and the grid on which they lie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
import shapely

from ..rasters import (
    Grid,
    Header,
    SceneError,
    file_state,
    only_value,
    read_array_header,
    read_header,
    read_window,
    size_at,
    transform_bounds,
)
from ..rasters.errors import GDAL_ERRORS
from .cached_table import CachedTable, IndexStore, list_files, table_name
from .footprints import project_each
from .layer import Layer
from .nominal import NominalPlaces

#: Files of a scene may differ by so many pixels at its lower and right edge.
SIZE_TOLERANCE_PX = 2

#: A CRS that somebody defined anew, without a code, is the one that it leaves coordinates as.
SAME_PLACE_PX = 0.05

#: Facts of a scene that are read from the headers of its files.
GRID = ('crs', 'left', 'top', 'xres', 'yres', 'height', 'width', 'nominal')

#: Facts of each file; those of its place where it may lie anywhere: without CRS, it covers the
#: scene.
SIZE = ('height', 'width')
PLACE = ('crs', 'left', 'top', 'xres', 'yres')


@dataclass(frozen=True)
class SceneFiles:
    """The files of one scene, before any of them is opened.

    Example:
        >>> scene = SceneFiles('p_1', {'image': 's2/p_1.tif', 'image_sar': 's1/p_1.tif'})
        >>> scene.area
        'p_1'
    """

    #: Name of the scene, which no other scene of the data set has.
    name: str
    #: File of every modality, by key.
    paths: Mapping[str, str]
    #: Name of the area; scenes of one area never fall into different splits. By default, every
    #: scene is an area.
    area: str = ''
    #: Start and end of the time in which the scene was observed; by default, any time.
    mint: pd.Timestamp = pd.Timestamp.min
    maxt: pd.Timestamp = pd.Timestamp.max
    #: Left, bottom, right and top of files that do not say where they lie, in units of *crs*. By
    #: default, such files are an error, unless the data set allows for nominal places.
    bounds: tuple[float, float, float, float] | None = None
    crs: str = 'EPSG:4326'

    def __post_init__(self) -> None:
        """Make a scene of which no area is known one by itself."""
        if not self.area:
            object.__setattr__(self, 'area', self.name)


def read_scene_table(
    scenes: Sequence[SceneFiles],
    layers: Mapping[str, Layer],
    reference: str,
    store: IndexStore,
    name: str,
    all_layers: Mapping[str, Layer] | None = None,
    partial: bool = False,
    progress: bool = True,
    nominal: NominalPlaces | None = None,
) -> tuple[pd.DataFrame, list[SceneError]]:
    """Read the headers of scenes and check that the files of each scene fit together.

    Only the headers of scenes that are new, or of which a file has changed in size or time, are
    read; the others are in a table that is kept.

    Args:
        scenes: the scenes.
        layers: the modalities that every scene must have, by key.
        reference: the modality on whose grid the scene lies; all others are co-extensive with it.
        store: where the table is kept.
        name: name of the table.
        all_layers: all modalities of the data set; a table with all of them serves as well.
        partial: True where *scenes* are not all scenes there are: the others stay in the table.
        progress: show a progress bar where there are many scenes to be read.
        nominal: how scenes are laid out of which no file says where it lies (defaults to not at
            all: they are an error).

    Returns:
        a table with one row per scene, in their order: ``scene``, ``area``, ``mint``, ``maxt``,
        ``crs`` (text), ``left``, ``top``, ``xres``, ``yres`` (units of the CRS), ``height``,
        ``width`` (pixels), ``nominal`` (whether the files do not state their place), and for
        every modality its path under its key, ``<key>_size`` (bytes), ``<key>_mtime_ns``,
        ``<key>_height`` and ``<key>_width``, and ``<key>_crs``, ``<key>_left``, ``<key>_top``,
        ``<key>_xres`` and ``<key>_yres`` where files may lie anywhere (no CRS: on the scene);
        and everything that is wrong with other scenes.

    Example:
        >>> from torchgeo_cloudseg.index import IndexStore, Layer, by_key
        >>> path = next(root.glob('test/planet_cloudy_*/**/*.tif'))
        >>> layers = by_key(Layer('image', '', ('Blue', 'Green', 'Red', 'NIR'), ('uint16',)))
        >>> table, problems = read_scene_table(
        ...     [SceneFiles(path.stem, {'image': str(path)})],
        ...     layers,
        ...     reference='image',
        ...     store=IndexStore(str(root), index_dir=False),
        ...     name='example',
        ...     progress=False,
        ... )
        >>> table[['crs', 'height', 'width']].to_numpy().tolist(), problems
        ([['EPSG:32646', 300, 300]], [])
    """
    columns: dict[str, Any] = {'scene': [scene.name for scene in scenes]}
    columns |= {key: [getattr(scene, key) for scene in scenes] for key in ('area', 'mint', 'maxt')}
    columns['given'] = [repr((scene.bounds, scene.crs)) for scene in scenes]
    files = {key: [str(scene.paths[key]) for scene in scenes] for key in layers}
    serving = (layers, all_layers or layers)
    table = CachedTable(
        store,
        names=[table_name(name, reference, sorted(some.items()), nominal) for some in serving],
        key='scene',
        files=list(layers),
        facts=[*GRID, *(f'{key}_{fact}' for key in layers for fact in file_facts(layers[key]))],
        given=['given'],
        title='Indexing scenes',
    )

    def read(row: int) -> dict[str, Any] | list[SceneError]:
        return _facts(scenes[row], layers, reference, nominal)

    found, problems = table.refresh(list_files(columns, files), read, partial, progress)
    if nominal is not None and len(found):
        lost = {scene.name for scene in scenes if scene.bounds is None}
        nominal.lay_out(found, (found['nominal'] & found['scene'].isin(lost)).to_numpy())
    return found, problems


def _facts(
    scene: SceneFiles,
    layers: Mapping[str, Layer],
    reference: str,
    nominal: NominalPlaces | None,
) -> dict[str, Any] | list[SceneError]:
    """Facts of a scene by column, or what is wrong with it.

    Args:
        scene: the scene.
        layers: the modalities that it must have, by key.
        reference: the modality on whose grid it lies.
        nominal: how scenes without a place are laid out.

    Returns:
        facts by column, or all problems that were found.
    """
    problems: list[SceneError] = []
    headers: dict[str, Header] = {}
    for key, layer in layers.items():
        path = scene.paths[key]
        try:
            file_state(path)  # says why a file is not there
            headers[key] = read_layer_header(path, layer)
        except SceneError as error:
            problems.append(error)
    lost = [key for key, header in headers.items() if layers[key].georeferenced and not header.crs]
    placed = [key for key in headers if headers[key].crs and not layers[key].anywhere]
    place = headers[placed[0]].grid if placed else None
    # files that cover the scene come after it
    for key in sorted(lost, key=lambda key: key != reference):
        size = headers[key].height, headers[key].width
        if scene.bounds is not None:
            grid = Grid.from_bounds(scene.crs, scene.bounds, size)
        elif nominal is None:
            problems.append(SceneError(scene.paths[key], 'no CRS', 'a georeferenced file'))
            continue
        elif place is not None:  # files of a scene cover the same ground
            grid = Grid.from_bounds(place.crs, place.bounds, size)
        elif layers[key].anywhere and key != reference and reference in headers:
            covered = headers[reference].grid
            grid = Grid.from_bounds(covered.crs, covered.bounds, size)
        else:
            grid = nominal.grid(size, layers[key].ratio)
        headers[key] = replace(headers[key], grid=grid)
    is_nominal = bool(lost) and (scene.bounds is not None or place is None)
    problems = problems or list(_misfits(scene, layers, headers, reference))
    if problems:
        return problems
    grid = headers[reference].grid
    place = grid.transform
    facts = (place.c, place.f, place.a, -place.e, grid.height, grid.width, is_nominal)
    values = dict(zip(GRID, (headers[reference].crs, *facts), strict=True))
    for key, header in headers.items():
        own: tuple[Any, ...] = (header.height, header.width)
        if layers[key].anywhere:
            away = key not in lost and not _is_same(header, headers[reference])
            place = header.grid.transform
            own += (header.crs if away else '', place.c, place.f, place.a, -place.e)
        names = (f'{key}_{fact}' for fact in file_facts(layers[key]))
        values |= zip(names, own, strict=True)
    return {**values, 'outline': shapely.box(*grid.bounds)}


def file_facts(layer: Layer) -> tuple[str, ...]:
    """Facts that a table of scenes has of every file of a layer.

    Args:
        layer: the layer.

    Returns:
        their names.
    """
    return (*SIZE, *PLACE) if layer.anywhere else SIZE


def _is_same(header: Header, reference: Header) -> bool:
    """Whether a file has the pixels of the reference."""
    own, other = header.grid, reference.grid
    same_size = (own.height, own.width) == (other.height, other.width)
    return same_size and own.position_in(other) == (0, 0)


def read_layer_header(path: str, layer: Layer) -> Header:
    """Read a header and hold it against the facts declared for its layer.

    Args:
        path: the file.
        layer: what the file must hold.

    Returns:
        the header.

    Raises:
        SceneError: if the file is missing, broken, or holds something else.
    """
    header = read_header(path) if layer.georeferenced else read_array_header(path)
    if layer.numbers:
        if max(layer.numbers) > header.count:
            expected = f'bands {", ".join(map(str, layer.numbers))}'
            remedy = 'Name bands that all files have.'
            raise SceneError(path, f'{header.count} band(s)', expected, remedy)
    elif header.count != len(layer.bands):
        if not layer.georeferenced:
            raise SceneError(path, f'an array of {header.count + 1} axes', 'two: rows and columns')
        expected = f'{len(layer.bands)} ({", ".join(layer.bands)})'
        raise SceneError(path, f'{header.count} band(s)', expected)
    _, b, _, d, e, _ = header.transform
    if header.crs and (b or d or e >= 0):
        raise SceneError(path, f'transform {header.transform}', 'a north-up grid')
    size = header.height, header.width
    if layer.size_px is not None and layer.size_px != size:
        bands = (header.count,) if layer.georeferenced else ()
        raise SceneError(path, f'shape {(*bands, *size)}', f'{(*bands, *layer.size_px)}')
    allowed = header.dtype in layer.dtypes if layer.dtypes else 'complex' not in header.dtype
    if not allowed:
        raise SceneError(
            path, f'data type {header.dtype}', ' or '.join(layer.dtypes) or 'real numbers'
        )
    if layer.anywhere and not layer.categorical:  # nobody has looked at somebody's own images yet
        size = header.height, header.width
        only = _only_value(path, file_state(path), size, layer.numbers)
        if only is not None and (math.isnan(only) or only == layer.nodata):
            remedy = 'Leave it out, or restore it from its source.'
            raise SceneError(path, 'no data in any pixel', 'an image', remedy)
    return header


@lru_cache(maxsize=256)
def _only_value(
    path: str,
    state: object,  # noqa: ARG001 - key of the cache
    size_px: tuple[int, int],
    bands: tuple[int, ...],
) -> float | None:
    """The value that all pixels of a file have, which may be for many scenes."""
    return only_value(partial(read_window, path, cache=False, bands=bands), *size_px)


def _overlap(header: Header, reference: Header) -> bool:
    """Whether two files have ground in common."""
    first = shapely.box(*header.grid.bounds)
    second = shapely.box(*reference.grid.bounds)
    if header.crs != reference.crs:
        second = project_each(np.array([second]), np.array([reference.crs], object), header.crs)[0]
    return bool(shapely.area(shapely.intersection(first, second)) > 0)


def _misfits(
    scene: SceneFiles, layers: Mapping[str, Layer], headers: Mapping[str, Header], reference: str
) -> Iterable[SceneError]:
    """Files that do not cover the same ground as the reference."""
    grid, crs = headers[reference].grid, headers[reference].crs
    like = f'as {scene.paths[reference]}'
    for key, header in headers.items():
        path, placed, ratio = scene.paths[key], layers[key].georeferenced, layers[key].ratio
        size = size_at(grid.height, ratio), size_at(grid.width, ratio)
        apart_px = max(abs(header.height - size[0]), abs(header.width - size[1]))
        bounds = header.grid.bounds
        if layers[key].anywhere:
            if placed and key != reference and not _overlap(header, headers[reference]):
                expected = f'some of the ground of {scene.paths[reference]}'
                remedy = 'Check that they belong together, and which CRS the files state.'
                yield SceneError(path, f'bounds {bounds} in {header.crs}', expected, remedy)
            continue
        apart = max(abs(bounds[0] - grid.bounds[0]), abs(bounds[3] - grid.bounds[3]))
        # Layers of different resolution snap to different grids: up to one coarse pixel apart.
        tolerance = max(header.grid.transform.a, grid.transform.a)
        if apart_px > SIZE_TOLERANCE_PX:
            expected = f'{size} (within {SIZE_TOLERANCE_PX} px), {like}'
            yield SceneError(path, f'size {(header.height, header.width)}', expected)
        elif placed and header.crs != crs and not _same_meaning(header, headers[reference]):
            yield SceneError(path, header.crs, f'{crs}, {like}')
        elif placed and apart >= tolerance:
            expected = f'{grid.bounds} (within {tolerance:g}), {like}'
            yield SceneError(path, f'left, bottom, right, top {bounds}', expected)


def _same_meaning(header: Header, reference: Header) -> bool:
    """Whether coordinates of two CRS mean the same place, whatever these are called."""
    try:
        moved = transform_bounds(header.crs, reference.crs, header.grid.bounds)
    except GDAL_ERRORS:
        return False
    apart = max(abs(a - b) for a, b in zip(moved, header.grid.bounds, strict=True))
    return bool(apart < SAME_PLACE_PX * reference.grid.transform.a)
