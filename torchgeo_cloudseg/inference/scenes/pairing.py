"""Finding optical and SAR images that belong together."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..._files import file_name
from ...datasets.products import Faults, FoundImage, day_in, found_or_broken, images_in
from ...rasters import SceneError, is_local, name_of
from .places import check_names, shared_ground, unreadable_because
from .sources import Source, holds_several, images_of, is_list, matches, of_kind, rows_of, several

if TYPE_CHECKING:
    from .stacks import SceneStack

logger = logging.getLogger(__name__)

#: Kinds of images.
KINDS = ('optical', 'sar')


class ScenePair(NamedTuple):
    """An optical and a SAR image of one place."""

    #: Name of the scene, for the output.
    name: str
    optical_path: str
    sar_path: str

    @property
    def paths(self) -> list[tuple[str, str]]:
        """The optical and the SAR image of its one date."""
        return [(self.optical_path, self.sar_path)]


def find_scenes(
    optical: Source | None,
    sar: Source | None = None,
    assets: tuple[str, str] = ('optical', 'sar'),
    looks_at: Sequence[str] = KINDS,
    faults: Faults | None = None,
    same_names: bool = False,
) -> list[ScenePair]:
    """Find the optical and SAR images of scenes.

    A source is a raster (a VRT too, a URL, or another name that GDAL knows), files of single
    bands, a folder of rasters, a product as archives ship it (Sentinel-2 and Sentinel-1 SAFE,
    Landsat Collection 2, a PlanetScope order) or a folder of them, a STAC item or a collection of
    items, a glob, a list, or a sequence of these. A list is a ``.txt`` or ``.csv`` file with a
    path per line, relative to its own folder; a first line of column names is passed over.

    Optical and SAR images belong together if their names do, apart from words that only occur on
    one side: ``planet_cloudy_fall_1_p_457`` and ``S1_fall_1_p_457``. Otherwise, an optical image
    gets the SAR image over its place that was taken next to its date; one SAR image may serve
    several. A single image on each side is always a pair.

    Without *sar*, the optical source names both: a list with two columns, STAC items, or a folder
    with products of both kinds.

    Args:
        optical: the optical images.
        sar: the SAR images.
        assets: keys of the optical and the SAR asset in a STAC item.
        looks_at: which images the network looks at; where that is one kind, its images stand in
            for the other, too.
        faults: where to put what is wrong with an image, by a path that stands in for it in its
            scene; None to raise it.
        same_names: accept scenes of one name, whose maps would replace each other.

    Returns:
        the scenes, in the order of the optical images.

    Raises:
        FileNotFoundError: if a source has no images.
        SceneError: if files that make an image cannot be opened, and *faults* is None.
        ValueError: if images cannot be paired.

    Example:
        >>> find_scenes(root / 'test/planet_cloudy_*/*/*.tif', root / 'test/S1_*/*/*.tif')[0].name
        'planet_cloudy_fall_1_p_1'
    """
    if len(looks_at) == 1:
        pairs = _alone({'optical': optical, 'sar': sar}, looks_at[0], assets, faults)
    elif optical is None:
        raise ValueError('There is no optical image. Give --optical.')
    elif sar is None:
        pairs = _both_in(several(optical), assets, faults)
    else:
        sides = (images_of(several(source), assets, faults) for source in (optical, sar))
        kinds = (of_kind(side, kind) for side, kind in zip(sides, KINDS, strict=True))
        pairs = _pair(*kinds, faults=faults)
    if not same_names:
        check_names(pair.name for pair in pairs)
    return pairs


def _alone(
    sources: Mapping[str, Source | None], kind: str, assets: tuple[str, str], faults: Faults | None
) -> list[ScenePair]:
    """Images of one kind, for a network that looks at no other."""
    source = sources[kind]
    if source is None:
        raise ValueError(f'The network looks at {kind} images only. Give --{kind}.')
    images = of_kind(images_of(several(source), assets, faults), kind)
    return [ScenePair(image.name, image.path, image.path) for image in images]


def map_path(output_dir: str | Path, scene: ScenePair | SceneStack) -> Path:
    """Where the map of a scene goes.

    Args:
        output_dir: the folder.
        scene: the scene.

    Returns:
        the file name.
    """
    return Path(output_dir) / f'{file_name(scene.name)}_map.tif'


def pair_text(scene: ScenePair) -> str:
    """What was paired, for people to look at before work starts.

    Args:
        scene: the scene.

    Returns:
        names of the images, and how many days lie between them, where they say so.
    """
    if scene.optical_path == scene.sar_path:
        return f'{scene.name}: {name_of(scene.optical_path)}'
    optical, sar = (name_of(path) for path in scene.paths[0])
    days = [day_in(text) for text in (f'{scene.name} {optical}', sar)]
    apart = ''
    if days[0] and days[1]:
        count = abs((days[0] - days[1]).days)
        apart = f' ({count} day{"s" * (count != 1)} apart)'
    return f'{scene.name}: {optical} with {sar}{apart}'


def _both_in(
    paths: Sequence[str], assets: tuple[str, str], faults: Faults | None
) -> list[ScenePair]:
    """Pairs that lists name, and those of sources that hold optical and SAR images."""
    pairs: list[ScenePair] = []
    images: list[FoundImage] = []
    for file in (file for path in paths for file in matches(path)):
        if is_list(file):
            pairs += _listed(Path(file), assets, faults)
        elif holds_several(file):
            images += images_of([file], assets, faults)
        elif is_local(file) and not Path(file).exists():
            raise FileNotFoundError(f'{file}: no such file or folder. Give the SAR images too.')
        else:
            raise ValueError(
                f'{name_of(file)}: there is no SAR image to it. Give the SAR images too.'
            )
    sides = [[image for image in images if image.kind == kind] for kind in KINDS]
    # nobody knows what these are
    broken = [image for image in images if image.path in (faults or {}) and not image.kind]
    pairs += map(_on_its_own, broken)
    if not broken and not all(sides) and (images or not pairs):
        raise FileNotFoundError(
            f'{", ".join(paths[:3])}: found {len(sides[0])} optical and {len(sides[1])} SAR images '
            'of products, no list and no STAC item, which name both. Give the SAR images too, or '
            'say which asset of an item is which (assets).'
        )
    # images of one item belong together
    by_name = {image.name: image for image in sides[1]}
    own = {image.name for image in sides[0] if image.name in by_name}
    pairs += [ScenePair(i.name, i.path, by_name[i.name].path) for i in sides[0] if i.name in own]
    alone = [image for image in sides[0] if image.name not in own]
    others = [image for image in sides[1] if image.name not in own]
    others = others or (sides[1] if alone else [])
    return pairs + _pair(alone, others, faults=faults)


def _listed(file: Path, assets: tuple[str, str], faults: Faults | None) -> Iterator[ScenePair]:
    """Pairs that a list names."""
    rows = rows_of(file)
    if not rows:
        raise FileNotFoundError(f'{file}: found nothing, expected a pair of paths per line.')
    for row in rows:
        if len(row) != 2:
            expected = 'two columns, the optical and the SAR image'
            raise ValueError(f'{file}: found {row}, expected {expected}.')
        sides = [
            found_or_broken(partial(_named, path, kind, assets), FoundImage.of_file(path), faults)
            for path, kind in zip(row, KINDS, strict=True)
        ]
        yield from _pair(*sides, faults=faults)


def _named(path: str, kind: str, assets: tuple[str, str]) -> list[FoundImage]:
    """Images of an entry of a list."""
    if holds_several(path):
        return of_kind(images_of([path], assets, None), kind)
    return images_in([path])


def _on_its_own(image: FoundImage) -> ScenePair:
    """The scene of an image that cannot be mapped."""
    return ScenePair(image.name, image.path, image.path)


def _pair(
    optical: list[FoundImage], sar: list[FoundImage], *, faults: Faults | None
) -> list[ScenePair]:
    """Pair images by their names, else by place and date."""
    if len(optical) == len(sar) == 1:
        return [ScenePair(optical[0].name, optical[0].path, sar[0].path)]
    words = [{word for image in side for word in _words(image)} for side in (optical, sar)]
    common = words[0] & words[1]
    # images of both sides by the words that both have
    alike: dict[tuple[str, ...], tuple[list[FoundImage], list[FoundImage]]] = {}
    for side, images in enumerate((optical, sar)):
        for image in images:
            key = tuple(word for word in _words(image) if word in common)
            alike.setdefault(key, ([], []))[side].append(image)
    chosen: dict[str, FoundImage] = {}
    problems: dict[str, SceneError] = {}
    broken = {image.path for image in (*optical, *sar) if image.path in (faults or {})}
    for ours, theirs in alike.values():
        if len(ours) == len(theirs) == 1:
            chosen[ours[0].path] = theirs[0]
            continue
        for image in ours:
            if image.path in broken:
                chosen[image.path] = image
                continue
            namesakes = [other for other in theirs if other.name == image.name]
            if len(namesakes) == 1:
                chosen[image.path] = namesakes[0]
                continue
            if nearest := _nearest(image, theirs or sar):
                chosen[image.path] = nearest
                continue
            found = ', '.join(name_of(other.path) for other in theirs[:3])
            found = found or 'no SAR image of a similar name, nor one over its place'
            problems[image.path] = SceneError(
                image.path, found, 'exactly one SAR image of its own',
                'Name the pairs in a .csv file with two columns instead.',
            )  # fmt: skip
            chosen[image.path] = image
    if problems and (faults is None or not (broken or len(problems) < len(optical))):
        listed = [f'{problem.path}: {problem.found}' for problem in problems.values()]
        raise ValueError(
            f'{len(problems)} of {len(optical)} optical images have not exactly one SAR image of '
            'their own:\n  '
            + '\n  '.join(listed[:20])
            + '\nName the pairs in a .csv file with two columns instead.'
        )
    if faults is not None:
        faults |= {path: unreadable_because(path) or problem for path, problem in problems.items()}
    used = {image.path for image in chosen.values()}
    left = [image for image in sar if image.path not in used]
    unused = [name_of(image.path) for image in left if image.path not in broken]
    if unused:
        logger.warning('%d SAR image(s) without optical image, such as %s', len(unused), unused[0])
    pairs = [ScenePair(image.name, image.path, chosen[image.path].path) for image in optical]
    return pairs + [_on_its_own(image) for image in left if image.path in broken]


def _nearest(image: FoundImage, candidates: list[FoundImage]) -> FoundImage | None:
    """The SAR image over the place of an optical one, of several that of the nearest date."""
    over = [other for other in candidates if shared_ground(image.path, other.path)]
    if len(over) < 2:
        return over[0] if over else None
    apart = {
        other.path: abs((image.day - other.day).days) for other in over if image.day and other.day
    }
    if len(apart) < len(over):
        return None
    # the earlier one of two that are as near
    return min(over, key=lambda other: (apart[other.path], str(other.day), other.name))


def _words(image: FoundImage) -> list[str]:
    return re.split(r'[^A-Za-z0-9]+', image.name)
