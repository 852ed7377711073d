"""What a raster says of itself, and what its pixels are, at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from .errors import SceneError
from .header import Header, header_of
from .name import name_of
from .open import GDAL_OPTIONS, reading
from .window import BLOCK_PX, Pixels, Span, blocks, only_value

#: Side of the windows of which pixels are taken, and pixels of each.
WINDOW_PX = 256
SAMPLE_PX = 2048

#: Most different values that are counted: what has more are measurements, not codes.
MAX_CODES = 1000


@dataclass(frozen=True)
class Survey:
    """What a raster says of itself, and what some of its pixels are."""

    header: Header
    #: Description of each band, empty where there is none.
    descriptions: tuple[str, ...]
    #: Scale and offset of each band.
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    #: Tags as one text.
    tags: str
    #: Values of some pixels (C, n), as stored.
    sample: Pixels | None = None
    #: Number of pixels of each value of the first band.
    codes: dict[float, int] = field(default_factory=dict)
    #: Whether there are more values than codes would have.
    is_measured: bool = False
    #: Value that all pixels have, NaN aside; None where there are several.
    only: float | None = None


def survey_raster(path: str, windows: int = 0, count: bool = False, seed: int = 0) -> Survey:
    """Read what a raster says of itself, and some or all of its pixels.

    Args:
        path: the file.
        windows: number of windows of which pixels are taken.
        count: count the values of the first band, in all pixels.
        seed: seed of the places of the windows.

    Returns:
        what there is.

    Raises:
        SceneError: if the file cannot be read.
    """
    with reading(path, GDAL_OPTIONS) as raster:
        tags = ' '.join(f'{key}={value}' for key, value in raster.tags().items())
        sample = np.concatenate(list(_sample(raster, windows, seed)), axis=1) if windows else None
        if count:
            codes, measured = _count(raster)
            only = next(iter(codes), float('nan')) if len(codes) < 2 else None
        else:
            codes, measured = {}, False
            only = only_value(lambda *window: raster.read(window=window), *raster.shape)
        return Survey(
            header_of(raster),
            tuple(text or '' for text in raster.descriptions),
            raster.scales,
            raster.offsets,
            tags,
            sample,
            codes,
            measured,
            only,
        )


def _sample(raster: DatasetReader, windows: int, seed: int) -> Iterator[Pixels]:
    rng = np.random.default_rng((seed, *name_of(raster.name).encode()[-32:]))
    for _ in range(windows):
        rows, cols = (_span(rng, size) for size in raster.shape)
        values: NDArray[Any] = raster.read(window=(rows, cols)).reshape(raster.count, -1)
        chosen = rng.permutation(values.shape[1])[:SAMPLE_PX]
        yield values[:, chosen]


def _span(rng: np.random.Generator, size_px: int) -> Span:
    start = int(rng.integers(max(size_px - WINDOW_PX, 0) + 1))
    return start, min(start + WINDOW_PX, size_px)


def _count(raster: DatasetReader) -> tuple[dict[float, int], bool]:
    """Number of pixels of each value of the first band; whether there are too many values."""
    if 'complex' in raster.dtypes[0]:
        raise SceneError(raster.name, f'data type {raster.dtypes[0]}', 'codes of classes')
    total: dict[float, int] = {}
    for rows, cols in blocks(raster.height, raster.width, BLOCK_PX):
        values, counts = _counted(raster.read(1, window=(rows, cols)))
        for value, number in zip(values.tolist(), counts.tolist(), strict=True):
            total[value] = total.get(value, 0) + number
        if len(total) > MAX_CODES:
            return dict(list(total.items())[:MAX_CODES]), True
    return total, False


def _counted(pixels: Pixels) -> tuple[Pixels, NDArray[np.intp]]:
    """Values and their numbers."""
    flat = pixels.ravel()
    if flat.dtype.itemsize > 2 or flat.dtype.kind not in 'iu':
        if flat.dtype.kind == 'f':
            flat = flat[~np.isnan(flat)]
        return np.unique(flat, return_counts=True)
    # a table is several times as fast as sorting
    low = int(np.iinfo(flat.dtype).min)
    counts = np.bincount(flat.astype(np.intp) - low)
    found = np.flatnonzero(counts)
    return found + low, counts[found]
