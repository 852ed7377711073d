"""Checking a whole data set: every missing, broken or odd file of all splits in one pass."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torchgeo.datasets import GeoDataset

from .._progress import progress_bar
from .._threads import Threads
from ..index import IndexDir
from ..rasters import SceneError, ScenesError
from ..rasters.errors import unreadable
from .registry import recognize_dataset
from .scene_declaration import code_tables
from .scene_folder import SceneFolder
from .scene_folder.declaration import FolderDeclaration
from .scene_reader import Pixels, SceneList, SceneReader
from .scene_scan import EmptySplitError, read_split
from .zoned import GLOBAL_CRS

#: Files read at the same time, for each processor.
THREADS_PER_CPU = 2

#: An image with clouds, and the one without.
TWINS = ('image', 'image_clear')

#: Images that are looked at to tell whether a data set has clouds, and their side in pixels.
LOOKED_AT, SIDE_PX = 8, 256

#: Meteorological season by the month in which it begins.
SEASONS = {12: 'winter', 3: 'spring', 6: 'summer', 9: 'fall'}


@dataclass(frozen=True)
class ValidationReport:
    """What there is of a data set, and what is wrong with it.

    Example:
        >>> from torchgeo_cloudseg.datasets import validate_scenes
        >>> report = validate_scenes(root, quick=True, progress=False)
        >>> report.counts['split']
        {'test': 1, 'train': 1, 'val': 1}
    """

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
            **{name: getattr(self, name) for name in ('root', 'dataset', 'quick', 'ok', 'scenes')},
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

    Example:
        >>> report = validate_scenes(root, quick=True, progress=False)
        >>> report.ok
        True
    """
    root = Path(root)
    kind = recognize_dataset(root, dataset)
    tables: list[pd.DataFrame] = []
    found: dict[tuple[str, str], SceneError] = {}
    # scenes at the edges of blocks are in no split
    for split in (*kind.splits, None) if kind.blocks else kind.splits:
        with suppress(EmptySplitError):
            table, wrong = read_split(
                kind, root, split, kind.layers, index_dir=index_dir, progress=progress
            )
            tables.append(table.assign(split=split or 'none'))
            # splits of one part have a part of the problems in common
            found |= {(problem.path, problem.found): problem for problem in wrong}
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    if kind.blocks and len(table):
        table = table.drop_duplicates('scene', ignore_index=True)
    problems = list(found.values())
    if table.empty and not problems:
        raise ValueError(
            f'{root}: found no scene of {kind.name}, expected its folders. Check the root.'
        )
    reader = SceneReader(
        kind.layers, kind.label_ratio, kind.codes_at(root), kind.fills, cache=False
    )
    return _report(root, kind.name, quick, table, problems, reader, progress)


def validate_folder(
    arguments: Mapping[str, Any], quick: bool = False, progress: bool = True
) -> ValidationReport:
    """Build the index of all splits of a folder of images and check every file.

    Args:
        arguments: arguments of a :class:`~torchgeo_cloudseg.datasets.SceneFolder` by name.
        quick: trust the headers; by default all pixels are read.
        progress: show progress bars where there is much to read.

    Returns:
        what there is and what is wrong.

    Raises:
        ValueError: if the declaration contradicts itself.

    Example:
        >>> from torchgeo_cloudseg.datasets import Modality
        >>> files = 'planet_cloudfree_*/**/*.tif'
        >>> image = Modality(files, bands=['B', 'G', 'R', 'N'], range=(0, 10_000))
        >>> validate_folder({'root': root / 'train', 'image': image}, progress=False).ok
        True
    """
    tables: list[pd.DataFrame] = []
    root, facts = Path(arguments['root']), FolderDeclaration.of_arguments(arguments)
    problems: list[SceneError] = []
    for split in facts.splits:
        # in one CRS, whatever zones there are
        own = {**arguments, 'split': split, 'crs': GLOBAL_CRS, 'file_list': None}
        try:
            tables.append(SceneFolder(**own)._table.assign(split=split))
        except EmptySplitError:
            continue
        except ScenesError as error:  # of all splits together
            problems = error.problems
            break
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    reader = SceneReader(
        facts.layers, facts.label_ratio, code_tables(facts), facts.fill_values, cache=False
    )
    return _report(root, facts.title, quick, table, problems, reader, progress)


def _report(
    root: Path,
    name: str,
    quick: bool,
    table: pd.DataFrame,
    problems: list[SceneError],
    reader: SceneReader,
    progress: bool,
) -> ValidationReport:
    """Check the files of all scenes, and count those that are sound."""
    if len(table):
        table['season'] = [_season(time) for time in table['mint']]
        broken_scenes = _check_files(reader, SceneList(table, reader.layers), quick, progress)
        table = table[[not broken for broken in broken_scenes]]
        # a file may be for many scenes
        problems += {str(e): e for e in chain.from_iterable(broken_scenes)}.values()
    counts = {
        name: {} if table.empty else table[column].value_counts().sort_index().to_dict()
        for name, column in (('split', 'split'), ('zone', 'crs'), ('season', 'season'))
    }
    return ValidationReport(str(root), name, quick, len(table), counts, problems)


def _season(time: pd.Timestamp) -> str:
    """Season that begins at a time."""
    return 'any' if time == pd.Timestamp.min else SEASONS.get(time.month, 'other')


def _check_files(
    reader: SceneReader, scenes: SceneList, quick: bool, progress: bool
) -> list[list[SceneError]]:
    """What is wrong with the files of each scene, of which the headers are sound."""

    def check(position: int) -> list[SceneError]:
        scene, problems = scenes[position], []
        images: dict[str, Pixels] = {}
        for key, file in scene.files.items():
            try:
                if quick:
                    _check_rights(file.path)
                    continue
                layer = reader.layers[key]
                # of a file that may be for many scenes, what is on this one
                values = (
                    reader.read(key, [scene], scene.grid).numpy()
                    if layer.anywhere
                    else reader.load(layer, scene)
                )
                if values.dtype.kind == 'f' and np.isinf(values).any():
                    expected = 'measurements, or NaN where there is none'
                    raise SceneError(file.path, 'infinite values', expected)
                if key in TWINS:
                    images[key] = values
            except SceneError as error:
                problems.append(error)
        paths = [scene.files[key].path for key in TWINS if key in images]
        if len(set(paths)) == 2 and np.array_equal(images['image'], images['image_clear']):
            remedy = 'Train a student with synthetic clouds, or restore the image.'
            found = f'the same pixels as in {paths[1]}'
            problems.append(SceneError(paths[0], found, 'an image with clouds', remedy))
        return problems

    with Threads(THREADS_PER_CPU * (os.cpu_count() or 1)) as pool:
        found = pool.map(check, range(len(scenes)))
        return list(
            progress_bar(found, 'Reading scenes', len(scenes), disable=not progress, delay=1)
        )


def _check_rights(path: str) -> None:
    """Refuse a file that may not be read: a change of rights leaves no trace in an index.

    Raises:
        SceneError: if it may not.
    """
    try:
        Path(path).open('rb').close()
    except OSError as error:
        raise unreadable(path, error) from error


def require_clouds(dataset: GeoDataset) -> None:
    """Refuse cloudy images that are copies of the cloud-free ones: there is nothing to learn.

    Args:
        dataset: a data set; some of its images are looked at if it has both kinds.

    Raises:
        ValueError: if they are the same.
    """
    part: Any = next(iter(getattr(dataset, 'zone_datasets', [dataset])))
    if not set(TWINS) <= set(getattr(part, 'modalities', ())):
        return
    rows = part.index.iloc[:: max(1, len(part.index) // LOOKED_AT)]
    for outline in rows.geometry:
        middle = outline.centroid
        x, y = (
            slice(center - res * SIDE_PX / 2, center + res * SIDE_PX / 2, res)
            for center, res in zip((middle.x, middle.y), part.res, strict=True)
        )
        sample = part[x, y]
        if not bool((sample['image'] == sample['image_clear']).all()):
            return
    raise ValueError(
        f'{type(part).__name__} in {part.root}: the cloudy images are the same as the cloud-free '
        'ones, and a student would learn nothing of clouds. Ask for synthetic clouds, such as '
        '`clouds: m3mcr`, or restore the images.'
    )
