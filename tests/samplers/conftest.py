"""Data sets that have an index and nothing else: all that a sampler looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from torchgeo.datasets import GeoDataset

#: Left, top, height and width of a scene, in pixels of one meter.
Box = tuple[float, float, int, int]


class Outlines(GeoDataset):
    """Scenes without pixels."""

    def __init__(self, boxes: Sequence[Box], crs: str, years: Sequence[int], step: int) -> None:
        outlines = [shapely.box(x, y - h, x + w, y) for x, y, h, w in boxes]
        start = pd.to_datetime([f'{year}-01-01' for year in years])
        stop = pd.to_datetime([f'{year}-12-31' for year in years])
        times = pd.IntervalIndex.from_arrays(start, stop, closed='both', name='datetime')
        self.index = gpd.GeoDataFrame(index=times, geometry=outlines, crs=crs)
        self.grid_step_px = step
        self._res = (1.0, 1.0)

    def __getitem__(self, index: Any) -> dict[str, Any]:
        raise NotImplementedError


@pytest.fixture(scope='session')
def outlines() -> Callable[..., GeoDataset]:
    """Makes a data set of scenes by place and size."""

    def make(
        *boxes: Box, crs: str = 'EPSG:32646', years: Sequence[int] = (), step: int = 1
    ) -> GeoDataset:
        return Outlines(boxes, crs, years or [2020] * len(boxes), step)

    return make
