"""The scenes of a data set, made one by one from the columns of its table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, overload

import pandas as pd
from numpy.typing import NDArray

from ..index.scene_table import GRID
from .scene_reader import Scene


class SceneList(Sequence[Scene]):
    """All scenes of a table, in its order.

    Columns are kept as arrays and a scene is made when it is asked for: fifty thousand of them,
    each with its five files, would cost every worker seconds and some hundred megabytes.
    """

    def __init__(self, table: pd.DataFrame, layers: Collection[str]) -> None:
        """Initialize a new SceneList instance.

        Args:
            table: the scenes, see :func:`~torchgeo_cloudseg.index.read_scene_table`.
            layers: the modalities by key; those that the table lacks are left out.
        """
        self._facts = {'name': _array(table['scene'])}
        self._facts |= {name: _array(table[name]) for name in GRID}
        self._files = {
            key: [_array(table[f'{key}{column}']) for column in ('', '_height', '_width')]
            for key in layers
            if key in table
        }

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self._facts['name'])

    @overload
    def __getitem__(self, index: int) -> Scene: ...

    @overload
    def __getitem__(self, index: slice) -> list[Scene]: ...

    def __getitem__(self, index: int | slice) -> Scene | list[Scene]:
        """Retrieve a scene.

        Args:
            index: its position, or a slice of positions.

        Returns:
            the scene, or a list of scenes.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        files = {
            key: [column.item(index) for column in columns] for key, columns in self._files.items()
        }
        return Scene(
            **{name: column.item(index) for name, column in self._facts.items()},
            paths={key: path for key, (path, _, _) in files.items()},
            sizes={key: (height, width) for key, (_, height, width) in files.items()},
        )

    @property
    def names(self) -> list[str]:
        """Names of the scenes, in order."""
        return [str(name) for name in self._facts['name']]


def _array(column: pd.Series) -> NDArray[Any]:
    """A column whose elements are cheap to reach, unlike those of a pandas string array."""
    plain = column.dtype.kind in 'biuf'
    values: NDArray[Any] = column.to_numpy() if plain else column.to_numpy(dtype=object)
    return values
