"""From the folders of a data set to the table of the scenes of a split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..index import IndexDir, IndexStore, Layer, SceneFiles, read_scene_table
from ..rasters import SceneError, ScenesError, unreadable_folder
from .errors import EmptySplitError

if TYPE_CHECKING:
    from .scene_dataset import SceneDataset

#: What a scan finds: scenes, and what is wrong with others.
Found = Iterable[SceneFiles | SceneError]


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

    Yields:
        the scenes in the order of their names, and errors that name missing and misnamed files.
    """
    found: dict[str, dict[str, str]] = {}
    listed = []
    for layer in layers:
        folder = folders[layer.key]
        try:
            names = [path.name for path in folder.iterdir() if path.name.endswith(layer.suffix)]
        except (FileNotFoundError, NotADirectoryError):
            names = []
        except OSError as error:
            yield unreadable_folder(folder, error)
            continue
        listed.append(layer)
        for name in names:
            if not name.startswith('.'):
                stem = name.removesuffix(layer.suffix)
                found.setdefault(stem, {})[layer.key] = str(folder / name)
    for name, files in sorted(found.items()):
        try:
            if check_name is not None:
                check_name(name)
        except ValueError as error:
            expected = f'the name of a scene ({error})'
            for path in files.values():
                yield SceneError(path, 'this name', expected, 'Rename or remove it.')
            continue
        for layer in listed:
            if layer.key not in files:
                path = str(folders[layer.key] / f'{name}{layer.suffix}')
                there = ', '.join(files)
                yield SceneError(path, 'no such file', f'one: the scene has {there}')
        if len(files) == len(layers):
            yield SceneFiles(name, files)


def split_areas(areas: Iterable[str], split: str, val_share: float) -> set[str]:
    """Divide areas into those for training and those for validation.

    Areas are ranked by a hash of their name and the first share of them, at least one, is for
    validation; an area is never in both. A single area is for training.

    Args:
        areas: names of the areas.
        split: ``train`` or ``val``.
        val_share: share of the areas that is for validation, 0 to 1.

    Returns:
        the areas of the split.
    """
    ranked = sorted(set(areas), key=area_rank)
    count = round(val_share * len(ranked))
    count = min(max(count, 1 if val_share > 0 else 0), len(ranked) - 1) if ranked else 0
    return set(ranked[:count] if split == 'val' else ranked[count:])


def area_rank(area: str) -> str:
    """What areas are ranked by: the same on every machine."""
    return hashlib.sha256(area.encode()).hexdigest()


def read_part(
    kind: type[SceneDataset],
    root: Path,
    part: str,
    index_dir: IndexDir = None,
    progress: bool = True,
) -> tuple[pd.DataFrame, list[SceneError]]:
    """The sound scenes of a part of a data set, with all modalities.

    Args:
        kind: the data set.
        root: its root directory.
        part: the part.
        index_dir: where the index is kept.
        progress: show a progress bar where there is much to read.

    Returns:
        the table, see :func:`~torchgeo_cloudseg.index.read_scene_table`, and what is wrong with
        other scenes.
    """
    scenes, problems = _sort_out(kind.scan(root, part, list(kind.layers.values())))
    table, broken = read_scene_table(
        scenes,
        kind.layers,
        kind.reference,
        IndexStore(str(root), index_dir),
        _table_name(kind, part),
        progress=progress,
    )
    return table, [*problems, *broken]


def load_split(
    kind: type[SceneDataset],
    root: Path,
    split: str,
    layers: Mapping[str, Layer],
    file_list: str | Path | None,
    val_share: float,
    index_dir: IndexDir,
) -> pd.DataFrame:
    """The scenes of a split, all of which must be sound.

    Args:
        kind: the data set.
        root: its root directory.
        split: the split.
        layers: the modalities that every scene must have, by key.
        file_list: list of scenes to take instead of all of the split.
        val_share: share of the training areas that is for validation.
        index_dir: where the index is kept.

    Returns:
        the table, see :func:`~torchgeo_cloudseg.index.read_scene_table`.

    Raises:
        EmptySplitError: if there is another split, but no scene in this one.
        FileNotFoundError: if there is no such list.
        ScenesError: if any file of the split is missing, broken or does not fit.
    """
    part, modalities = kind.splits[split], list(layers.values())
    if file_list is not None and not Path(file_list).is_file():
        raise FileNotFoundError(f'{file_list}: no such list of scenes. Check `file_list`.')
    scenes, problems = _sort_out(
        kind.scan(root, part, modalities)
        if file_list is None
        else kind.scan_list(Path(file_list), root, part, modalities)
    )
    if problems:
        raise ScenesError(problems)
    table, problems = read_scene_table(
        scenes,
        layers,
        kind.reference,
        IndexStore(str(root), index_dir),
        _table_name(kind, part),
        all_layers=kind.layers,
        partial=file_list is not None,
    )
    chosen = scenes
    if file_list is None:
        if not scenes and kind.looks_like(root):
            raise EmptySplitError(
                f'{root}: split={split!r} has no scene: found no {kind.layout_of(part)}, though '
                'there is another split. Unpack this one too, or give a `file_list` or another '
                '`split`.'
            )
        areas = {scene.area or scene.name for scene in scenes}
        wanted = _areas_of(kind, areas, split, val_share)
        chosen = [scene for scene in scenes if (scene.area or scene.name) in wanted]
        if scenes and not chosen:
            raise EmptySplitError(
                f'{root}: split={split!r} has no scene: of the {len(areas)} area(s) in the part '
                f'{part!r}, val_share={val_share} leaves none. '
                'Change `val_share`, add areas, or give a `file_list`.'
            )
    if problems:
        files = {scene.paths[key] for scene in chosen for key in layers}
        problems = [problem for problem in problems if problem.path in files]
        if problems:
            raise ScenesError(problems)
    if len(chosen) < len(scenes):
        names = {scene.name for scene in chosen}
        table = table[table['scene'].isin(names)].reset_index(drop=True)
    return table


def splits_of(
    kind: type[SceneDataset], areas: Iterable[str], part: str, val_share: float
) -> dict[str, str]:
    """Split of each area of a part.

    Args:
        kind: the data set.
        areas: names of the areas.
        part: the part.
        val_share: share of the training areas that is for validation.

    Returns:
        split by area.
    """
    every = set(areas)
    splits = [split for split, source in kind.splits.items() if source == part]
    return {area: split for split in splits for area in _areas_of(kind, every, split, val_share)}


def _areas_of(kind: type[SceneDataset], areas: set[str], split: str, val_share: float) -> set[str]:
    """The areas of a split, of those in its part."""
    parts = list(kind.splits.values())
    alone = parts.count(kind.splits[split]) == 1
    return areas if alone else kind.divide(areas, split, val_share)


def _table_name(kind: type[SceneDataset], part: str) -> str:
    return f'{kind.name or kind.__name__}-{part}'


def _sort_out(found: Found) -> tuple[list[SceneFiles], list[SceneError]]:
    """Scenes and problems, apart.

    Raises:
        ValueError: if two scenes have the same name.
    """
    scenes: list[SceneFiles] = []
    problems: list[SceneError] = []
    for entry in found:
        if isinstance(entry, SceneError):
            problems.append(entry)
        else:
            scenes.append(entry)
    names = pd.Series([scene.name for scene in scenes], dtype=object)
    twice = np.unique(names[names.duplicated()].to_numpy())
    if len(twice):
        raise ValueError(f'{len(twice)} scene(s) were found twice: {", ".join(twice[:5])}.')
    return scenes, problems


def choose_by_name(file_list: Path, root: Path, found: Sequence[SceneFiles | SceneError]) -> Found:
    """The scenes that a list names.

    Args:
        file_list: text file with a name on every line; an ending such as ``.tif`` is left out.
        root: root directory of the data set, for messages.
        found: all scenes, and what is wrong with others.

    Returns:
        the scenes in the order of the list, and all that is wrong.

    Raises:
        ValueError: if there is no scene of a name.
    """
    scenes = {scene.name: scene for scene in found if isinstance(scene, SceneFiles)}
    problems = [problem for problem in found if isinstance(problem, SceneError)]
    lines = [line.strip() for line in file_list.read_text().splitlines() if line.strip()]
    names = [line if line in scenes else Path(line).stem for line in lines]
    missing = [name for name in names if name not in scenes]
    if missing and not problems:
        raise ValueError(
            f'{file_list}: found {missing}, expected names of scenes in {root}. '
            'Correct the list, or add the files.'
        )
    return [*(scenes[name] for name in names if name in scenes), *problems]
