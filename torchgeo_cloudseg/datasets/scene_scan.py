"""From the folders of a data set to the table of the scenes of a split."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from torchgeo.datasets import DatasetNotFoundError

from ..index import IndexDir, IndexStore, Layer, NominalPlaces, SceneFiles, read_scene_table
from ..rasters import SceneError, unreadable_folder
from ..rasters.text import read_text

if TYPE_CHECKING:
    from .scene_dataset import SceneDataset

#: What a scan finds: scenes, and what is wrong with others.
Found = Iterable[SceneFiles | SceneError]

#: Paths in a folder, and why it could not be listed.
Listing = tuple[list[str], list[SceneError]]


class EmptySplitError(DatasetNotFoundError):
    """A split without scenes, of a data set that is there."""

    def __init__(self, message: str) -> None:
        """Initialize a new EmptySplitError instance.

        Args:
            message: what was found, and what to do.
        """
        FileNotFoundError.__init__(self, message)


def list_folder(folder: str | Path, start: str = '', end: str = '') -> Listing:
    """List what is in a folder, in the order of names.

    Args:
        folder: the folder.
        start: how names begin.
        end: how they end, in small or capital letters.

    Returns:
        paths, without hidden files; nothing where there is no such folder.
    """
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - for every one of many folders
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except OSError as error:
        return [], [unreadable_folder(folder, error)]
    wanted = [n for n in names if n.startswith(start) and n.lower().endswith(end.lower())]
    return [f'{folder}{os.sep}{name}' for name in wanted if not name.startswith('.')], []


def pair_files(
    layers: Sequence[Layer],
    listings: Iterable[Listing],
    name_of: Callable[[Layer, str], str],
    path_of: Callable[[Layer, str], str],
    rank: Callable[[str], Any] | None = None,
) -> Iterator[SceneFiles | SceneError]:
    """Put the files of each scene together.

    Args:
        layers: the modalities that every scene must have.
        listings: the files of each of them, and what could not be listed.
        name_of: scene to which a file of a modality belongs, by its path; raises a ValueError
            that says what would be a name.
        path_of: where the file of a modality is expected, by the name of its scene.
        rank: what scenes are sorted by (defaults to their names).

    Yields:
        the scenes, and errors that name missing and misnamed files, and folders that are closed.
    """
    found: dict[str, dict[str, str]] = {}
    closed: dict[str, SceneError] = {}
    for layer, (paths, errors) in zip(layers, listings, strict=True):
        closed |= {error.path: error for error in errors}
        for path in paths:
            try:
                found.setdefault(name_of(layer, path), {})[layer.key] = path
            except ValueError as error:
                expected = f'the name of a scene ({error})'
                yield SceneError(path, 'this name', expected, 'Rename or remove it.')
    yield from closed.values()
    for name in sorted(found, key=rank):
        files = found[name]
        if len(files) == len(layers):
            yield SceneFiles(name, files)
            continue
        there = ', '.join(layer.folder for layer in layers if layer.key in files)
        for layer in layers:
            path = files.get(layer.key) or path_of(layer, name)
            # nobody knows what a closed folder holds
            if layer.key not in files and closed.keys().isdisjoint(map(str, Path(path).parents)):
                yield SceneError(path, 'no such file', f'one: the scene has {there}')


def pair_by_name(
    folders: Mapping[str, Path],
    layers: Sequence[Layer],
    check_name: Callable[[str], object] | None = None,
) -> Iterator[SceneFiles | SceneError]:
    """Scenes whose files have the same name in the folder of each modality.

    Args:
        folders: folder of each modality, by key.
        layers: the modalities that every scene must have.
        check_name: raises a ValueError for a name that no scene can have.

    Returns:
        the scenes in the order of their names, and errors that name missing and misnamed files.

    Example:
        >>> from torchgeo_cloudseg.datasets import Layer
        >>> for name in ('s2/p_1.tif', 's1/p_1.tif'):
        ...     (folder / name).parent.mkdir()
        ...     (folder / name).touch()
        >>> layers = [Layer('image', 's2', ('B04',)), Layer('image_sar', 's1', ('VV',))]
        >>> folders = {layer.key: folder / layer.folder for layer in layers}
        >>> [scene.name for scene in pair_by_name(folders, layers)]
        ['p_1']
    """

    def name_of(layer: Layer, path: str) -> str:
        name = path.rpartition(os.sep)[2][: -len(layer.suffix) or None]
        if check_name is not None:
            check_name(name)
        return name

    return pair_files(
        layers,
        [list_folder(folders[layer.key], end=layer.suffix) for layer in layers],
        name_of,
        path_of=lambda layer, name: str(folders[layer.key] / f'{name}{layer.suffix}'),
    )


def split_areas(
    areas: Iterable[str], split: str, val_share: float, free: Collection[str] | None = None
) -> set[str]:
    """Divide areas into those for training and those for validation.

    Areas are ranked by a hash of their name, the same on every machine, and the first share of
    them, at least one, is for validation; an area is never in both. A single area is for training.

    Args:
        areas: names of the areas.
        split: ``train`` or ``val``.
        val_share: share of the areas that is for validation, 0 to 1.
        free: areas that may be for validation (defaults to all).

    Returns:
        the areas of the split.
    """
    every = set(areas)
    ranked = sorted(
        every if free is None else free, key=lambda area: hashlib.sha256(area.encode()).hexdigest()
    )
    count = max(round(val_share * len(every)), 1 if val_share > 0 else 0)
    chosen = set(ranked[: max(min(count, len(every) - 1), 0)])
    return chosen if split == 'val' else every - chosen


def read_split(
    kind: type[SceneDataset],
    root: Path,
    split: str | None,
    layers: Mapping[str, Layer],
    file_list: str | Path | None = None,
    val_share: float = 0.1,
    index_dir: IndexDir = None,
    progress: bool = True,
) -> tuple[pd.DataFrame, list[SceneError]]:
    """The sound scenes of a split.

    Args:
        kind: the data set.
        root: its root directory.
        split: the split; None for all scenes, of a data set that is divided by place.
        layers: the modalities that every scene must have, by key.
        file_list: list of scenes to take instead of all of the split.
        val_share: share of the training areas that is for validation.
        index_dir: where the index is kept.
        progress: show a progress bar where there is much to read.

    Returns:
        the table, see :func:`~torchgeo_cloudseg.index.read_scene_table`, and what is wrong with
        other scenes.

    Raises:
        EmptySplitError: if there is another split, but no scene in this one.
        FileNotFoundError: if there is no such list.
        ValueError: if two scenes have the same name.
    """
    part = kind.splits[split or 'train']
    if file_list is None:
        found = list(kind.scan(root, part, list(layers.values())))
    elif Path(file_list).is_file():
        found = list(kind.scan_list(Path(file_list), root, part, list(layers.values())))
    else:
        raise FileNotFoundError(f'{file_list}: no such list of scenes. Check `file_list`.')
    scenes = [entry for entry in found if isinstance(entry, SceneFiles)]
    problems = [entry for entry in found if isinstance(entry, SceneError)]
    counts = Counter(scene.name for scene in scenes)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f'{len(twice)} scene(s) were found twice: {", ".join(twice[:5])}.')
    places = None
    if kind.nominal_places:
        number = list(dict.fromkeys(kind.splits.values())).index(part)
        places = NominalPlaces(kind.pixel_size_m, number)
    table, broken = read_scene_table(
        scenes,
        layers,
        kind.reference,
        IndexStore(str(root), index_dir),
        f'{kind.name or kind.__name__}-{part}',
        all_layers=kind.layers,
        partial=file_list is not None,
        progress=progress,
        nominal=places,
    )
    if file_list is None and kind.blocks is not None:
        if table.empty or problems or broken or split is None:
            return table, [*problems, *broken]
        division = replace(kind.blocks, val=val_share)
        table = table[division.divide(table, root) == split].reset_index(drop=True)
        if table.empty:
            _require_scenes(kind, root, split, len(scenes), val_share)
    elif file_list is None and split is not None:
        areas = {scene.area for scene in scenes}
        alone = list(kind.splits.values()).count(part) == 1
        wanted = areas if alone else kind.divide(areas, split, val_share)
        scenes = [scene for scene in scenes if scene.area in wanted]
        if not (scenes or problems):
            _require_scenes(kind, root, split, len(areas), val_share)
        table = table[table['area'].isin(wanted)].reset_index(drop=True)
    files = {path for scene in scenes for path in scene.paths.values()}
    return table, [*problems, *(problem for problem in broken if problem.path in files)]


def _require_scenes(
    kind: type[SceneDataset], root: Path, split: str, areas: int, val_share: float
) -> None:
    """Say why a split has no scene, unless there is no data set at all.

    Raises:
        EmptySplitError: if there is another split.
    """
    part = kind.splits[split]
    if areas:
        raise EmptySplitError(
            f'{root}: split={split!r} has no scene: of the {areas} area(s) in the part {part!r}, '
            f'val_share={val_share} leaves none. Change `val_share`, add areas, or give a '
            '`file_list`.'
        )
    if kind.looks_like(root):
        raise EmptySplitError(
            f'{root}: split={split!r} has no scene: found no {kind.layout_of(part)}, though there '
            'is another split. Unpack this one too, or give a `file_list` or another `split`.'
        )


def choose_by_name(file_list: Path, root: Path, found: Sequence[SceneFiles | SceneError]) -> Found:
    """The scenes that a list names.

    Args:
        file_list: text file with a name on every line; an ending such as ``.tif`` is left out.
        root: root directory of the data set, for messages.
        found: all scenes, and what is wrong with others.

    Returns:
        the scenes in the order of the list, and all that is wrong.

    Raises:
        ValueError: if there is no scene of a name, or no name.
    """
    scenes = {scene.name: scene for scene in found if isinstance(scene, SceneFiles)}
    problems = [problem for problem in found if isinstance(problem, SceneError)]
    lines = [line.strip() for line in read_text(file_list).splitlines() if line.strip()]
    if not lines:
        raise ValueError(f'{file_list}: found no name, expected names of scenes, one a line.')
    names = [line if line in scenes else Path(line).stem for line in lines]
    missing = [name for name in names if name not in scenes]
    if missing and not problems:
        raise ValueError(
            f'{file_list}: found {missing}, expected names of scenes in {root}. '
            'Correct the list, or add the files.'
        )
    return [*(scenes[name] for name in names if name in scenes), *problems]
