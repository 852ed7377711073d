"""Checking a whole data set: every missing, broken or odd file of all splits in one pass."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from ..index import IndexDir, Layer
from ..rasters import SceneError, read_window
from .legend import code_lookup, to_classes
from .registry import recognize_dataset
from .scene_dataset import SceneDataset
from .scene_list import SceneList
from .scene_reader import Scene, no_data
from .scene_scan import read_part, splits_of

#: Share of the training areas that counts as validation, as by default in the data sets.
VAL_SHARE = 0.1

#: Files read at the same time, for each processor.
THREADS_PER_CPU = 2

#: Meteorological season by the month in which it begins.
SEASONS = {12: 'winter', 3: 'spring', 6: 'summer', 9: 'fall'}


@dataclass(frozen=True)
class ValidationReport:
    """What there is of a data set, and what is wrong with it."""

    #: Root of the data set.
    root: str
    #: Name of the data set.
    dataset: str
    #: True where headers were trusted and no pixel was read.
    quick: bool
    #: Number of scenes that are sound.
    scenes: int
    #: Sound scenes by ``split``, ``zone`` and ``season``.
    counts: Mapping[str, Mapping[str, int]]
    #: One entry for each broken, missing or odd file.
    problems: Sequence[SceneError]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, object]:
        """The report in types that JSON has."""
        problems = [
            {'file': p.path, 'found': p.found, 'expected': p.expected, 'remedy': p.remedy}
            for p in self.problems
        ]
        return {
            'root': self.root,
            'dataset': self.dataset,
            'quick': self.quick,
            'ok': self.ok,
            'scenes': self.scenes,
            **{f'scenes_by_{name}': dict(count) for name, count in self.counts.items()},
            'problems': problems,
        }


def validate_scenes(
    root: str | Path,
    dataset: str | None = None,
    quick: bool = False,
    index_dir: IndexDir = None,
    progress: bool = True,
) -> ValidationReport:
    """Build the index of all splits of a data set and check every file.

    Args:
        root: root directory of the data set.
        dataset: name of the data set (defaults to what the folders look like).
        quick: trust the headers; by default all pixels are read.
        index_dir: where the index is kept, as in the data sets.
        progress: show progress bars where there is much to read.

    Returns:
        what there is and what is wrong.

    Raises:
        ValueError: if there is no data set at *root*.
    """
    root = Path(root)
    kind = recognize_dataset(root, dataset)
    tables, problems = [], []
    for part in dict.fromkeys(kind.splits.values()):
        table, broken = read_part(kind, root, part, index_dir, progress)
        problems += broken
        if len(table):
            splits = splits_of(kind, table['area'], part, VAL_SHARE)
            tables.append(table.assign(split=table['area'].map(splits)))
    if not tables and not problems:
        raise ValueError(
            f'{root}: found no scene of {kind.name}, expected its folders. Check the root.'
        )
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if len(table):
        table['season'] = [_season(time) for time in table['mint']]
        scenes = SceneList(table, kind.layers)
        broken_scenes = _check_access(scenes) if quick else _check_all(scenes, kind, progress)
        table = table[[not found for found in broken_scenes]]
        problems += chain.from_iterable(broken_scenes)
    counts = {
        name: {} if table.empty else table[column].value_counts().sort_index().to_dict()
        for name, column in (('split', 'split'), ('zone', 'crs'), ('season', 'season'))
    }
    return ValidationReport(str(root), kind.name, quick, len(table), counts, problems)


def _season(time: pd.Timestamp) -> str:
    """Season that begins at a time."""
    return 'any' if time == pd.Timestamp.min else SEASONS.get(time.month, 'other')


def check_pixels(
    scene: Scene, layers: Mapping[str, Layer], lookup: NDArray[np.int64]
) -> list[SceneError]:
    """Read all pixels of a scene.

    Args:
        scene: the scene.
        layers: its modalities, by key.
        lookup: class of each label code, negative for an unknown one.

    Returns:
        one problem for each file that cannot be read to its end, holds unknown label codes,
        nothing but missing measurements, infinite ones, or nothing but no-data.
    """
    problems = []
    for key, path in scene.paths.items():
        height, width = scene.sizes[key]
        try:
            values = read_window(path, (0, height), (0, width), cache=False)
            _check_values(path, layers[key], values, lookup)
        except SceneError as error:
            problems.append(error)
    return problems


def _check_values(path: str, layer: Layer, values: NDArray[Any], lookup: NDArray[np.int64]) -> None:
    """Refuse pixels that are no labels or measurements.

    Raises:
        SceneError: that says what is wrong.
    """
    if layer.key == 'mask':
        to_classes(path, values, lookup)
    elif values.dtype.kind == 'f':
        if np.isnan(values).all():
            raise SceneError(path, 'NaN in every pixel', 'at least one measurement')
        if np.isinf(values).any():
            raise SceneError(path, 'infinite values', 'measurements, or NaN where there is none')
    elif layer.nodata is not None and (values == layer.nodata).all():
        raise no_data(path, layer)


def _check_access(scenes: SceneList) -> list[list[SceneError]]:
    """Files of each scene that may not be read, which no header in the index tells.

    Rights can be taken away without a trace in a file's size and time of change.
    """
    effective = os.access in os.supports_effective_ids
    return [
        [
            SceneError(path, 'an unreadable file (Permission denied)', 'a readable file')
            for path in scene.paths.values()
            if not os.access(path, os.R_OK, effective_ids=effective)
        ]
        for scene in scenes
    ]


def _check_all(
    scenes: SceneList, kind: type[SceneDataset], progress: bool
) -> list[list[SceneError]]:
    """Problems in the pixels of each scene."""
    lookup = code_lookup(kind.legend, kind.unknown_codes, kind.ignore_index)
    with ThreadPoolExecutor(THREADS_PER_CPU * (os.cpu_count() or 1)) as pool:
        found = pool.map(lambda scene: check_pixels(scene, kind.layers, lookup), scenes)
        return list(tqdm(found, 'Reading scenes', len(scenes), disable=not progress, delay=1))
