"""Dates of one place, which become one map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...datasets.products import Faults
from ...rasters import SceneError
from .dates import in_order
from .pairing import KINDS, ScenePair, find_scenes, pair_text
from .places import check_names, grid_of, shared_ground, unreadable_because
from .sources import Source

#: Share of the smaller of two images that must lie in the other one, so that they are dates of
#: one place: neighbors in an archive overlap by less.
ONE_PLACE = 0.5


@dataclass(frozen=True)
class SceneStack:
    """Dates of one place, which become one map.

    Attributes:
        dates: the optical and the SAR image of every date, the earliest first.

    Example:
        >>> days = [ScenePair(day, f'{day}.tif', 's1.tif') for day in ('20200501', '20200601')]
        >>> SceneStack(tuple(days)).name
        '20200501'
    """

    dates: tuple[ScenePair, ...]

    @property
    def name(self) -> str:
        """Name of the scene, for the output: that of the earliest date."""
        return self.dates[0].name

    @property
    def optical_path(self) -> str:
        """The optical image of the earliest date, whose grid counts."""
        return self.dates[0].optical_path

    @property
    def sar_path(self) -> str:
        """The SAR image of the earliest date."""
        return self.dates[0].sar_path

    @property
    def paths(self) -> list[tuple[str, str]]:
        """The optical and the SAR image of every date."""
        return [path for scene in self.dates for path in scene.paths]


def find_stacks(
    optical: Source | None,
    sar: Source | None = None,
    assets: tuple[str, str] = ('optical', 'sar'),
    looks_at: Sequence[str] = KINDS,
    faults: Faults | None = None,
    one_place: bool = False,
) -> list[SceneStack]:
    """Find the optical and SAR images of scenes, and put dates of one place together.

    Args:
        optical: see :func:`~torchgeo_cloudseg.inference.find_scenes`, as all that follow.
        sar: the SAR images.
        assets: keys of the optical and the SAR asset in a STAC item.
        looks_at: which images the network looks at.
        faults: where to put what is wrong with an image; None to raise it.
        one_place: take all for dates of one place; otherwise those are of which half of the
            smaller image lies in the larger one.

    Returns:
        the places, in the order of their dates.

    Raises:
        FileNotFoundError: if a source has no images.
        SceneError: if an image cannot be opened or lies nowhere, and *faults* is None.
        ValueError: if images cannot be paired.

    Example:
        >>> skies = ('cloudy', 'cloudfree')
        >>> days = [next(root.glob(f'test/planet_{sky}_*/*/*.tif')) for sky in skies]
        >>> (place,) = find_stacks(days, next(root.glob('test/S1_*/*/*.tif')))
        >>> len(place.dates)
        2
    """
    pairs = find_scenes(optical, sar, assets, looks_at, faults, same_names=True)
    stacks = combine_dates(pairs, one_place, faults)
    check_names(stack.name for stack in stacks)
    return stacks


def stack_text(stack: SceneStack) -> str:
    """What was paired and put together, for people to look at before work starts.

    Args:
        stack: dates of one place.

    Returns:
        a line for the place, and one for each date.
    """
    head = f'{stack.name}: one map of {len(stack.dates)} date(s)'
    return '\n  '.join([head, *map(pair_text, stack.dates)])


def combine_dates(
    scenes: Sequence[ScenePair], one_place: bool, faults: Faults | None
) -> list[SceneStack]:
    """Put dates of one place together.

    A scene belongs to the place of an earlier one if half of the smaller image lies in the other.

    Args:
        scenes: the scenes, each of one date.
        one_place: take all scenes for dates of one place.
        faults: where to put what is wrong with a scene; such scenes stay alone. None to raise it.

    Returns:
        the places.

    Raises:
        SceneError: if an image lies nowhere, and *faults* is None.
    """
    by_paths = {scene.paths[0]: scene for scene in scenes}
    ordered = [by_paths[paths] for paths in in_order(list(by_paths))]
    groups = [ordered] if one_place else _by_place(ordered, faults)
    return [SceneStack(tuple(dates)) for dates in groups]


def _by_place(scenes: Sequence[ScenePair], faults: Faults | None) -> list[list[ScenePair]]:
    """Scenes by their place; those of which it is not known stay alone."""
    places: list[list[ScenePair]] = []
    alone: list[list[ScenePair]] = []
    for scene in scenes:
        if not _has_place(scene, faults):
            alone.append([scene])
            continue
        for place in places:
            if shared_ground(scene.optical_path, place[0].optical_path) >= ONE_PLACE:
                place.append(scene)
                break
        else:
            places.append([scene])
    return places + alone


def _has_place(scene: ScenePair, faults: Faults | None) -> bool:
    """Whether it is known where a scene lies; what is wrong where it is not, is noted."""
    if faults is not None and any(path in faults for path in scene.paths[0]):
        return False
    path = scene.optical_path
    if grid_of(path):
        return True
    problem = unreadable_because(path) or SceneError(
        path, 'an image that does not say where it lies',
        'a place upon the earth, by which dates of one place are found',
        'Georeference it, or name one file as output, which all dates become.',
    )  # fmt: skip
    if faults is None:
        raise problem
    faults[path] = problem
    return False
