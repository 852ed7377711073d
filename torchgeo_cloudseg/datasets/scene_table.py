"""The table of scenes: which files belong together, and the grid on which they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ..rasters import (
    FileState,
    Header,
    SceneError,
    ScenesError,
    file_state,
    read_array_header,
    read_header,
    size_at,
)
from .layer import Layer

#: Gives a scene, by name, the place that its files do not state.
Georeference = Callable[[str, Header], Header]

#: Files of a scene may differ by so many pixels at its lower and right edge.
SIZE_TOLERANCE_PX = 2

#: Headers read at the same time, to hide the latency of network disks. GDAL opens one file after
#: another all the same: more threads only wait for each other.
HEADER_THREADS = 4

#: Below this number of scenes a progress bar would only flicker.
MIN_SCENES_FOR_PROGRESS = 200


@dataclass(frozen=True)
class SceneFiles:
    """The files of one scene, before any of them is opened."""

    #: Unique name of the scene.
    scene: str
    #: Name of the area; scenes of one area never fall into different splits.
    area: str
    #: Start and end of the time in which the scene was observed.
    mint: pd.Timestamp
    maxt: pd.Timestamp
    #: File of every modality.
    paths: Mapping[str, str]


def build_scene_table(
    scenes: Sequence[SceneFiles],
    layers: Mapping[str, Layer],
    reference: str,
    georeference: Georeference | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Read the header of every file and check that the files of a scene fit together.

    Args:
        scenes: the scenes.
        layers: the modalities that every scene must have, by key.
        reference: the modality on whose grid the scene lies; all others are co-extensive with it.
        georeference: gives files that say nothing of their place a nominal one; by default they
            are an error.
        progress: show a progress bar where there are many scenes.

    Returns:
        a table with one row per scene: ``scene``, ``area``, ``mint``, ``maxt``, ``crs`` (text),
        ``left``, ``top``, ``xres``, ``yres`` (units of the CRS), ``height``, ``width`` (pixels),
        ``nominal`` (whether the place is nominal), and for every modality its path under its key,
        ``<key>_height``, ``<key>_width``, ``<key>_size`` (bytes) and ``<key>_mtime_ns``.

    Raises:
        ScenesError: if any file is missing, broken or does not fit; all of them are named.
    """
    table, problems = read_scenes(scenes, layers, reference, georeference, progress)
    if problems:
        raise ScenesError(problems)
    return table


def read_scenes(
    scenes: Sequence[SceneFiles],
    layers: Mapping[str, Layer],
    reference: str,
    georeference: Georeference | None = None,
    progress: bool = True,
) -> tuple[pd.DataFrame, list[SceneError]]:
    """Read the header of every file, and go on where files are missing or broken.

    Args:
        scenes: the scenes.
        layers: the modalities that every scene must have, by key.
        reference: the modality on whose grid the scene lies.
        georeference: gives files that say nothing of their place a nominal one.
        progress: show a progress bar where there are many scenes.

    Returns:
        the table of the scenes that are sound, as of :func:`build_scene_table`, and everything
        that is wrong with the others.
    """
    rows: list[dict[str, Any]] = []
    problems: list[SceneError] = []
    with ThreadPoolExecutor(HEADER_THREADS) as pool:
        found = pool.map(lambda scene: _scene_row(scene, layers, reference, georeference), scenes)
        hidden = not progress or len(scenes) < MIN_SCENES_FOR_PROGRESS
        for row, broken in tqdm(found, 'Indexing scenes', len(scenes), disable=hidden):
            problems += broken
            if row is not None:
                rows.append(row)
    return pd.DataFrame(rows), problems


def _scene_row(
    scene: SceneFiles,
    layers: Mapping[str, Layer],
    reference: str,
    georeference: Georeference | None,
) -> tuple[dict[str, Any] | None, list[SceneError]]:
    """One row of the table, or the problems of the scene."""
    problems: list[SceneError] = []
    headers: dict[str, Header] = {}
    states: dict[str, FileState] = {}
    nominal = False
    for key, layer in layers.items():
        try:
            # before the header: a change in between is then seen as one
            states[key] = file_state(scene.paths[key])
            header = check_header(scene.paths[key], layer)
            if layer.georeferenced and not header.crs:
                if georeference is None:
                    raise SceneError(scene.paths[key], 'no CRS', 'a georeferenced file')
                header = georeference(scene.scene, header)
                nominal = True
            headers[key] = header
        except SceneError as error:
            problems.append(error)
    if not problems:
        problems = list(_misfits(scene, layers, headers, reference))
    if problems:
        return None, problems
    grid = headers[reference]
    a, _, left, _, e, top = grid.transform
    return {
        'scene': scene.scene,
        'area': scene.area,
        'mint': scene.mint,
        'maxt': scene.maxt,
        'crs': grid.crs,
        'left': left,
        'top': top,
        'xres': a,
        'yres': -e,
        'height': grid.height,
        'width': grid.width,
        'nominal': nominal,
        **{key: scene.paths[key] for key in layers},
        **{f'{key}_height': header.height for key, header in headers.items()},
        **{f'{key}_width': header.width for key, header in headers.items()},
        **{f'{key}_size': state.size for key, state in states.items()},
        **{f'{key}_mtime_ns': state.mtime_ns for key, state in states.items()},
    }, []


def check_header(path: str, layer: Layer) -> Header:
    """Read a header and hold it against the facts declared for its layer.

    Args:
        path: the file.
        layer: what the file must hold.

    Returns:
        the header.

    Raises:
        SceneError: if the file is missing, broken, or holds something else.
    """
    if not layer.georeferenced:
        header = read_array_header(path)
        shape: tuple[int, ...] = (header.height, header.width)
        expected_shape: tuple[int, ...] | None = layer.size_px
        if header.count != 1:
            raise SceneError(path, f'an array of {header.count + 1} axes', 'two: rows and columns')
    else:
        header = read_header(path)
        shape = (header.count, header.height, header.width)
        expected_shape = (len(layer.bands), *layer.size_px) if layer.size_px else None
        if header.count != len(layer.bands):
            expected = f'{len(layer.bands)} ({", ".join(layer.bands)})'
            raise SceneError(path, f'{header.count} band(s)', expected)
        _, b, _, d, e, _ = header.transform
        if header.crs and (b or d or e >= 0):
            raise SceneError(path, f'transform {header.transform}', 'a north-up grid')
    if expected_shape is not None and shape != expected_shape:
        raise SceneError(path, f'shape {shape}', f'{expected_shape}')
    if header.dtype not in layer.dtypes:
        raise SceneError(path, f'data type {header.dtype}', ' or '.join(layer.dtypes))
    return header


def _misfits(
    scene: SceneFiles, layers: Mapping[str, Layer], headers: Mapping[str, Header], reference: str
) -> Iterable[SceneError]:
    """Files that do not cover the same ground as the reference."""
    grid = headers[reference]
    for key, header in headers.items():
        layer = layers[key]
        if key == reference:
            continue
        size = size_at(grid.height, layer.ratio), size_at(grid.width, layer.ratio)
        apart_px = max(abs(header.height - size[0]), abs(header.width - size[1]))
        if apart_px > SIZE_TOLERANCE_PX:
            expected = f'{size} (within {SIZE_TOLERANCE_PX} px), as {scene.paths[reference]}'
            yield SceneError(scene.paths[key], f'size {(header.height, header.width)}', expected)
            continue
        if not layer.georeferenced:
            continue
        if header.crs != grid.crs:
            expected = f'{grid.crs}, as {scene.paths[reference]}'
            yield SceneError(scene.paths[key], header.crs, expected)
            continue
        # Layers of different resolution snap to different grids: up to one coarse pixel apart.
        tolerance = max(header.transform[0], grid.transform[0])
        apart = np.abs(np.subtract(_corners(header), _corners(grid)))[[0, 3]].max()
        if apart >= tolerance:
            yield SceneError(
                scene.paths[key],
                f'left, bottom, right, top {_corners(header)}',
                f'{_corners(grid)} (within {tolerance:g}), as {scene.paths[reference]}',
            )


def _corners(header: Header) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a north-up raster."""
    a, _, left, _, e, top = header.transform
    return left, top + e * header.height, left + a * header.width, top
