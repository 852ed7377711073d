"""The table of data sets: which there are, and which of them lies in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scene_dataset import SceneDataset

#: Data sets by name. A subclass of :class:`~.scene_dataset.SceneDataset` with a ``name`` is added
#: as soon as it is defined.
DATASETS: dict[str, type[SceneDataset]] = {}


def register_dataset(kind: type[SceneDataset]) -> None:
    """Add a data set to the table.

    Args:
        kind: the class, with a ``name``.

    Raises:
        ValueError: if it has no name, or another class has the same.

    Example:
        >>> from torchgeo_cloudseg.datasets import DATASETS, M3MCR
        >>> register_dataset(M3MCR)  # as every subclass with a name does by itself
        >>> DATASETS['m3mcr'] is M3MCR
        True
    """
    name = kind.name
    other = DATASETS.get(name, kind)
    if not name or (other.__module__, other.__qualname__) != (kind.__module__, kind.__qualname__):
        raise ValueError(
            f'{kind.__qualname__}.name={name!r}: expected a name that no other data set has; '
            f'taken are {list(DATASETS)}.'
        )
    DATASETS[name] = kind


def find_dataset(name: str) -> type[SceneDataset]:
    """Data set of a name.

    Args:
        name: one of :data:`DATASETS`.

    Returns:
        its class.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in DATASETS:
        raise ValueError(f'dataset={name!r} must be one of {list(DATASETS)}.')
    return DATASETS[name]


def recognize_dataset(root: str | Path, name: str | None = None) -> type[SceneDataset]:
    """Tell from its folders which data set there is.

    Args:
        root: root directory of a data set.
        name: which one it is, if that is known.

    Returns:
        its class.

    Raises:
        ValueError: if the folders are those of no data set known.

    Example:
        >>> recognize_dataset(root).name
        'm3mcr'
    """
    if name is not None:
        return find_dataset(name)
    for kind in DATASETS.values():
        if kind.looks_like(Path(root)):
            return kind
    layouts = [f'{kind.title} ({kind.layout})' for kind in DATASETS.values()]
    raise ValueError(f'{root}: found neither {" nor ".join(layouts)}. Check the root.')
