"""Where images of scenes lie, and what their maps are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from ...rasters import Grid, SceneError, has_place, overlapping_share, read_header


def shared_ground(first: str, second: str) -> float:
    """How much of an image lies in another one.

    Args:
        first: an image, anything that GDAL reads.
        second: another one.

    Returns:
        the share, 0 to 1, of that of which more lies in the other; 0 where it is not known where
        they lie.
    """
    grids = grid_of(first), grid_of(second)
    if grids[0] is None or grids[1] is None:
        return 0.0
    try:
        return overlapping_share(grids[0], grids[1])
    except ValueError:
        return 0.0


@lru_cache(maxsize=4096)
def grid_of(path: str) -> Grid | None:
    """Where an image lies.

    Args:
        path: anything that GDAL reads.

    Returns:
        its grid; None where nobody says, or it cannot be opened.
    """
    try:
        grid = read_header(path).grid
    except SceneError:
        return None
    return grid if has_place(grid) else None


def unreadable_because(path: str) -> SceneError | None:
    """Why an image cannot be opened.

    Args:
        path: anything that GDAL reads.

    Returns:
        the error; None where it can be opened.
    """
    try:
        read_header(path)
    except SceneError as error:
        return error
    return None


def check_names(names: Iterable[str]) -> None:
    """Refuse scenes whose maps would replace each other.

    Args:
        names: names of the scenes.

    Raises:
        ValueError: if several have one name.
    """
    named = list(names)
    # on many systems, upper and lower case make no difference
    counts = Counter(name.casefold() for name in named)
    twice = sorted({name for name in named if counts[name.casefold()] > 1})
    if twice:
        raise ValueError(
            f'Several scenes are called {", ".join(twice[:5])}: their maps would replace each '
            'other. Map them into folders of their own, or rename the optical images.'
        )
