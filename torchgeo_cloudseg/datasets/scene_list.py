"""The scenes of a data set, made one by one from the columns of its table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, overload

import pandas as pd
from numpy.typing import NDArray

from .scene_reader import Scene

_GRID = ('scene', 'crs', 'left', 'top', 'xres', 'yres', 'height', 'width')


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
        keys = [key for key in layers if key in table]
        self._grid = [_array(table[name]) for name in _GRID]
        self._nominal = _array(table['nominal'])
        self._paths = {key: _array(table[key]) for key in keys}
        self._sizes = {
            key: (_array(table[f'{key}_height']), _array(table[f'{key}_width'])) for key in keys
        }

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self._nominal)

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
        name, crs, left, top, xres, yres, height, width = (column[index] for column in self._grid)
        return Scene(
            name=name,
            crs=crs,
            left=float(left),
            top=float(top),
            xres=float(xres),
            yres=float(yres),
            height=int(height),
            width=int(width),
            paths={key: column[index] for key, column in self._paths.items()},
            sizes={
                key: (int(rows[index]), int(columns[index]))
                for key, (rows, columns) in self._sizes.items()
            },
            nominal=bool(self._nominal[index]),
        )

    def __iter__(self) -> Iterator[Scene]:
        """Iterate over all scenes."""
        return (self[i] for i in range(len(self)))

    @property
    def names(self) -> list[str]:
        """Names of the scenes, in order."""
        return [str(name) for name in self._grid[0]]


def _array(column: pd.Series) -> NDArray[Any]:
    """A column whose elements are cheap to reach, unlike those of a pandas string array."""
    plain = column.dtype.kind in 'biuf'
    values: NDArray[Any] = column.to_numpy() if plain else column.to_numpy(dtype=object)
    return values
