"""Which files of a folder make a scene: by their names, or by where and when they were taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import shapely

from ...index import SceneFiles
from ...rasters import SceneError, band_stack, file_state, mosaic, name_of
from .modality import Modality, day_of, keys_of, stem_of

#: Share of an image that another one covers, from which on it counts as covered.
COVERED = 0.99


#: Tells where files lie, see :func:`~torchgeo_cloudseg.index.file_table.read_file_table`.
Outlines = Callable[[Sequence[str]], tuple[pd.DataFrame, list[SceneError]]]


class Candidate(NamedTuple):
    """A file, or bands of several files, that may belong to a scene."""

    path: str
    #: What its name has in common with others of its scene.
    key: str
    day: pd.Timestamp | None


@dataclass
class Pairing:
    """Scenes of a folder, how their files were paired, and what is wrong."""

    scenes: list[SceneFiles] = field(default_factory=list)
    problems: list[SceneError] = field(default_factory=list)
    #: Scenes of which some files are missing, and files that belong to no scene.
    incomplete: list[SceneError] = field(default_factory=list)
    #: How each modality was paired: ``name``, ``place`` or ``one for all``.
    rules: dict[str, str] = field(default_factory=dict)


def pair_modalities(
    root: Path,
    modalities: Mapping[str, Modality],
    reference: str,
    outlines: Outlines,
    stack: Callable[[Sequence[str]], str] | None = None,
) -> Pairing:
    """Find the files of all scenes.

    Args:
        root: root of the data set.
        modalities: what there is, by sample key.
        reference: the modality on whose grid samples lie: every file of it is a scene.
        outlines: tells where files lie.
        stack: makes one image of the files of its bands (defaults to a stack of them).

    Returns:
        the scenes in the order of their names, and everything that is wrong.
    """
    pairing = Pairing()
    files = {}
    for key, modality in modalities.items():
        files[key], wrong = modality.find(root)
        pairing.problems += wrong
    single = {
        key
        for key, found in files.items()
        if key != reference and sum(map(len, found.values())) == 1
    }
    many = len(next(iter(files[reference].values()), [])) > 1
    for key, modality in modalities.items():
        by_place = modality.pair == 'place' and key != reference
        pairing.rules[key] = 'place' if by_place else 'name'
        if many and key in single and not by_place:
            pairing.rules[key] = 'one for all'
    named = [key for key, rule in pairing.rules.items() if rule == 'name']
    candidates = _candidates(files, modalities, [named], pairing, stack or _stack)
    away = [key for key, rule in pairing.rules.items() if rule == 'place']
    candidates |= _candidates(files, modalities, [[key] for key in away], pairing, stack or _stack)
    by_key = {
        key: _by_key(found, key, pairing) for key, found in candidates.items() if key in named
    }
    for key in named:
        if key != reference:
            _report_unpaired(by_key, reference, key, pairing)
    paths = {key: {name: found.path for name, found in by_key[key].items()} for key in named}
    for key, rule in pairing.rules.items():
        if rule == 'one for all' and not pairing.problems:
            (only,) = next(iter(files[key].values()))
            paths[key] = dict.fromkeys(by_key[reference], only)
        elif rule == 'place' and not pairing.problems:
            nearest = Nearest(key, modalities[key].max_days, outlines)
            paths[key] = nearest.pair(by_key[reference], candidates[key], pairing)
    for name, found in sorted(by_key[reference].items()):
        if all(name in paths.get(key, ()) for key in modalities):
            day = found.day
            time = {} if day is None else {'mint': day, 'maxt': day + pd.Timedelta('1D')}
            title = name or stem_of(name_of(found.path))
            own = {key: paths[key][name] for key in modalities}
            pairing.scenes.append(SceneFiles(title, own, **time))
    return pairing


def _candidates(
    files: Mapping[str, Mapping[str, list[str]]],
    modalities: Mapping[str, Modality],
    groups: Sequence[Sequence[str]],
    pairing: Pairing,
    stack: Callable[[Sequence[str]], str],
) -> dict[str, list[Candidate]]:
    """Images of each modality, bands of one put together; groups are keyed together."""
    found: dict[str, list[Candidate]] = {}
    for group in groups:
        sides = {f'{key}/{band}': paths for key in group for band, paths in files[key].items()}
        patterns = {f'{key}/{band}': modalities[key].name for key in group for band in files[key]}
        keyed, wrong = keys_of(sides, patterns)
        pairing.problems += wrong
        for key in group:
            bands = {band: keyed[f'{key}/{band}'] for band in files[key]}
            found[key] = _stacked(bands, pairing, stack)
    return found


def _stacked(
    bands: Mapping[str, Mapping[str, list[str]]],
    pairing: Pairing,
    stack: Callable[[Sequence[str]], str],
) -> list[Candidate]:
    """Images, of which some are made of one file per band."""
    if list(bands) == ['']:
        return [
            Candidate(path, key, day_of(path)) for key, paths in bands[''].items() for path in paths
        ]
    found = []
    for key in sorted(set().union(*bands.values())):
        paths = {band: images[key] for band, images in bands.items() if key in images}
        some = next(iter(paths.values()))[0]
        twice = [files for files in paths.values() if len(files) > 1]
        if twice:
            pairing.problems.append(_several(twice[0][1], f'{twice[0][0]} is the same band'))
        elif len(paths) < len(bands):
            missing = [band for band in bands if band not in paths]
            pairing.incomplete.append(
                SceneError(some, f'no file of band {", ".join(missing)}', 'one of each band',
                           'Add it, narrow `files` down, or correct `name`.')
            )  # fmt: skip
        else:
            try:
                found.append(Candidate(stack([p[0] for p in paths.values()]), key, day_of(some)))
            except SceneError as error:
                pairing.problems.append(error)
    return found


def _stack(paths: Sequence[str]) -> str:
    """Bands of several files as one image; made once as long as the files stay as they are."""
    return _stack_once(tuple(paths), tuple(file_state(path) for path in paths))


@lru_cache(maxsize=65536)
def _stack_once(paths: tuple[str, ...], states: object) -> str:  # noqa: ARG001 - key of the cache
    return band_stack(paths)


def _several(path: str, found: str) -> SceneError:
    remedy = 'Remove one of them, narrow `files` down, or tell them apart by `name`.'
    return SceneError(path, f'a second file of one scene: {found}', 'one', remedy)


def _by_key(found: Sequence[Candidate], key: str, pairing: Pairing) -> dict[str, Candidate]:
    """Files by what names have in common; two of the same are reported."""
    kept: dict[str, Candidate] = {}
    for candidate in found:
        if candidate.key in kept:
            other = name_of(kept[candidate.key].path)
            pairing.problems.append(_several(candidate.path, f'{other} is its `{key}`, too'))
        else:
            kept[candidate.key] = candidate
    return kept


def _report_unpaired(
    by_key: Mapping[str, Mapping[str, Candidate]], reference: str, key: str, pairing: Pairing
) -> None:
    """Say which scenes lack a file, and that none is paired where that is so."""
    scenes, own = by_key[reference], by_key[key]
    missing = [name for name in scenes if name not in own]
    remedy = (
        f'Add it, set `incomplete: skip`, narrow `files` of {reference} down, correct `name` of '
        'both, or pair them by place (`pair: place`).'
    )
    if scenes and own and len(missing) == len(scenes):
        first, other = next(iter(scenes.values())), next(iter(own.values()))
        found = f'{len(own)} files of `{key}`, none of which has a name in common with an image'
        example = f'names such as {stem_of(name_of(first.path))!r}'
        pairing.problems.append(SceneError(other.path, found, example, remedy))
        return
    pairing.incomplete += [
        SceneError(scenes[name].path, f'no `{key}` of the same name ({name})', 'one', remedy)
        for name in missing
    ]
    left = [candidate for name, candidate in own.items() if name not in scenes]
    pairing.incomplete += [
        SceneError(candidate.path, f'no `{reference}` of the same name ({candidate.key})', 'one',
                   f'Add it, set `incomplete: skip`, or narrow `files` of {key} down.')
        for candidate in left
    ]  # fmt: skip


@dataclass(frozen=True)
class Nearest:
    """Pairs images with those that cover most of them, and of several with the nearest in time."""

    key: str
    max_days: float | None
    outlines: Outlines

    def pair(
        self, scenes: Mapping[str, Candidate], candidates: Sequence[Candidate], pairing: Pairing
    ) -> dict[str, str]:
        """Find the file of each scene.

        Args:
            scenes: the images, by name.
            candidates: what may belong to them.
            pairing: where problems are noted.

        Returns:
            path by name of the scene.
        """
        places = self._outlines([scene.path for scene in scenes.values()], pairing)
        others = self._outlines([candidate.path for candidate in candidates], pairing)
        tree = shapely.STRtree(list(others['outline']))
        days = {candidate.path: candidate.day for candidate in candidates}
        outline_of = dict(zip(places['path'], places['outline'], strict=True))
        found = {}
        for name, scene in scenes.items():
            outline = outline_of.get(scene.path)
            if outline is None:
                continue
            near = others.iloc[tree.query(outline, predicate='intersects')]
            try:
                found[name] = self._choose(scene, outline, near, days)
            except SceneError as error:
                pairing.incomplete.append(error)
        return found

    def _outlines(self, paths: Sequence[str], pairing: Pairing) -> pd.DataFrame:
        table, wrong = self.outlines(paths)
        pairing.problems += [e for e in wrong if str(e) not in map(str, pairing.problems)]
        return table

    def _choose(
        self,
        scene: Candidate,
        outline: shapely.Geometry,
        near: pd.DataFrame,
        days: Mapping[str, pd.Timestamp | None],
    ) -> str:
        """The file of a scene.

        Returns:
            path of the file that covers most of the scene; of equals, the nearest by date.

        Raises:
            SceneError: if there is none.
        """
        shares = shapely.area(shapely.intersection(near['outline'].to_numpy(), outline))
        ranked = []
        for path, crs, share in zip(near['path'], near['crs'], shares / outline.area, strict=True):
            day = days[path]
            apart = 0.0
            if scene.day is not None and day is not None:
                apart = abs((day - scene.day) / pd.Timedelta('1D'))
            if share > 0 and (self.max_days is None or apart <= self.max_days):
                ranked.append((share < COVERED, apart, -share, path, crs))
        if not ranked:
            within = '' if self.max_days is None else f' within {self.max_days:g} days'
            raise SceneError(
                scene.path,
                f'no `{self.key}` on its ground{within}, of {len(near)} that touch it',
                'one that covers it',
                'Check the CRS that the files state, add files, or leave the image out.',
            )
        ranked.sort()
        partly, apart, _, path, crs = ranked[0]
        beside = [entry for entry in ranked if entry[1] == apart and entry[4] == crs]
        # those that cover most of it are seen where several overlap
        return mosaic([entry[3] for entry in beside[::-1]]) if partly else path
