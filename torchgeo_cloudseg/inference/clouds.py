"""Synthetic clouds on a GeoTIFF of any size, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from .._random import combined_seed
from ..rasters import block_cache
from ..rasters.open import DatasetReader
from ..rasters.window import Block, blocks
from ..transforms.clouds import CloudField, CloudRecipe, Grid
from ..transforms.clouds.blending import blend, check_data_range
from ..transforms.clouds.opacity import shares_above
from .clouds_io import CloudWriter, color_bands, open_clear, place_of

#: Image values of reflectance 0 and 1, by dtype.
DATA_RANGES = {
    'uint8': (0.0, 255.0),
    'uint16': (0.0, 10000.0),
    'int16': (0.0, 10000.0),
    'float32': (0.0, 1.0),
    'float64': (0.0, 1.0),
}

#: Blocks of files that are kept in memory. Without a limit it would be a share of the machine's.
CACHE_BYTES = 1 << 28

#: Range and number of bins of the histogram that finds quantiles; the field has unit variance.
FIELD_RANGE, BINS = 8.0, 1 << 16


class CloudRasters(NamedTuple):
    """Files that were written.

    Attributes:
        image: the cloudy image, of the dtype, bands and georeference of the input.
        mask: uint8: 1 cloud, 0 clear, 255 no data.
        alpha: float32: opacity in 0..1, NaN for no data.
    """

    image: Path
    mask: Path
    alpha: Path


def add_clouds_to_raster(
    input: str | Path,  # noqa: A002  # the name that users of command lines expect
    output: str | Path,
    recipe: CloudRecipe | str = 'broken',
    seed: int = 0,
    pixel_size: float | None = None,
    data_range: tuple[float, float] | None = None,
    mask: str | Path | None = None,
    alpha: str | Path | None = None,
    block_size: int = 1024,
    overwrite: bool = False,
    progress: bool = True,
) -> CloudRasters:
    """Put clouds and their shadows on a cloud-free GeoTIFF of any size.

    The clouds are continuous over the scene, whatever the size of the blocks, and memory does not
    grow with the scene. The cover that the recipe asks for is met over all pixels that have data.
    Files appear under their names when all are complete.

    Args:
        input: cloud-free image, north up. Alpha bands are left as they are.
        output: GeoTIFF to write.
        recipe: kind of sky, or the name of a preset.
        seed: clouds follow from it and from the place: images of the same place get the same
            clouds; another number gives other clouds.
        pixel_size: meters per pixel; by default, from the georeference.
        data_range: image values of reflectance 0 and 1; by default (0, 255) for uint8,
            (0, 10000) for 16-bit integers, and (0, 1) for floating-point images.
        mask: GeoTIFF of the cloud mask; by default ``<output>_mask.tif``.
        alpha: GeoTIFF of the opacity; by default ``<output>_alpha.tif``.
        block_size: rows and columns of a block.
        overwrite: replace files that exist.
        progress: show a progress bar.

    Returns:
        the files that were written.

    Raises:
        FileExistsError: if an output exists and *overwrite* is False.
        FileNotFoundError: if the input, or the folder of an output, does not exist.
        OSError: if a file cannot be written in full, as on a full disk.
        ValueError: if the image cannot be used as it is; the message names file and remedy.
    """
    output = Path(output)
    files = CloudRasters(
        output,
        Path(mask) if mask else output.with_name(f'{output.stem}_mask.tif'),
        Path(alpha) if alpha else output.with_name(f'{output.stem}_alpha.tif'),
    )
    if block_size < 16:
        raise ValueError(f'block_size={block_size}: expected at least 16 pixels.')
    recipe = CloudRecipe.preset(recipe) if isinstance(recipe, str) else recipe
    with block_cache(CACHE_BYTES), open_clear(Path(input)) as source:
        dtype = source.dtypes[0]
        if data_range is None and dtype not in DATA_RANGES:
            raise ValueError(
                f'{input}: found dtype {dtype}, for which no data range is usual. Pass '
                'data_range=(black, white), the values of reflectance 0 and 1.'
            )
        values = data_range or DATA_RANGES[dtype]
        place, bounds = place_of(source, pixel_size)
        windows = list(blocks(source.height, source.width, block_size))
        # before the long work: it checks the paths
        writer = CloudWriter(source, files, overwrite)
        passes = 2 if recipe.cover is None else 3
        with tqdm(
            total=passes * len(windows), desc=output.name, unit='block', disable=not progress
        ) as bar:
            seeds, size = [combined_seed([seed, *bounds])], (place.height, place.width)
            field = CloudField.draw(recipe, seeds, size, place.pixel_size, lazily=True)
            if recipe.cover is not None:
                field = _covering(source, field, windows, values, bar)
            with writer.open(bar.update):
                for window in windows:
                    _write_block(source, writer, field, window, values)
                    bar.update()
    return files


def _covering(
    source: DatasetReader,
    field: CloudField,
    windows: list[Block],
    data_range: tuple[float, float],
    bar: tqdm[None],
) -> CloudField:
    """Clouds with the cover that the recipe asks for over pixels with data."""
    histogram = np.zeros(BINS, np.int64)
    for window in windows:
        # before anything is written
        with _named(source, window):
            image = _tensor(source.read(color_bands(source), window=window))
            check_data_range(image, data_range, _nodata(source))
        values = field.noise.on(_part(field.grid, window))[0].numpy()
        cells = (values + FIELD_RANGE) * (BINS / (2 * FIELD_RANGE))
        cells = cells.clip(0, BINS - 1).astype(np.int64)
        histogram += np.bincount(cells[_valid(source, window)], minlength=BINS)
        bar.update()
    if not histogram.any():
        raise ValueError(f'{source.name}: found no pixel with data, expected some.')
    shares = (float(share) for share in shares_above(field.parameters))
    level, half = (torch.tensor([_exceeded_by(histogram, share)]) for share in shares)
    return field.through(level, half)


def _part(place: Grid, window: Block) -> Grid:
    """Grid of a block."""
    (top, bottom), (left, right) = window
    return place.window(top, left, bottom - top, right - left)


def _valid(source: DatasetReader, window: Block) -> npt.NDArray[np.bool_]:
    """Pixels of a block that have data in any band."""
    valid: npt.NDArray[np.bool_] = source.dataset_mask(window=window) > 0
    if np.issubdtype(source.dtypes[0], np.floating):
        image = source.read(color_bands(source), window=window)
        valid &= ~np.isnan(image).all(0)
    return valid


@contextmanager
def _named(source: DatasetReader, window: Block) -> Iterator[None]:
    """Errors about an image say which file and block it comes from."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{source.name}, {window}: {error}') from error


def _nodata(source: DatasetReader) -> float | None:
    """Number that marks missing pixels; NaN is always missing."""
    nodata: float | None = source.nodata
    return None if nodata is None or np.isnan(nodata) else nodata


def _exceeded_by(histogram: npt.NDArray[np.int64], share: float) -> float:
    """Field value that a share of the counted pixels exceeds."""
    below = np.concatenate([[0], np.cumsum(histogram)]) / histogram.sum()
    edges = np.linspace(-FIELD_RANGE, FIELD_RANGE, BINS + 1)
    # the last edge below the share and the first above it bound the bins that count
    occupied = slice(np.argmax(below > 0) - 1, np.argmax(below >= 1) + 1)
    return float(np.interp(1 - share, below[occupied], edges[occupied]))


def _write_block(
    source: DatasetReader,
    writer: CloudWriter,
    field: CloudField,
    window: Block,
    data_range: tuple[float, float],
) -> None:
    """Cloud one block and write it."""
    bands = color_bands(source)
    image = source.read(window=window)
    chosen = [band - 1 for band in bands]
    layers = field.layers(_part(field.grid, window))
    ground, nodata = _tensor(image[chosen]), _nodata(source)
    with _named(source, window):
        reflectance = field.reflectance(len(bands))
        if field.recipe.cover is None:
            check_data_range(ground, data_range, nodata)
    cloudy = blend(ground, layers, reflectance, data_range, nodata)
    image[chosen] = cloudy[0].numpy().astype(image.dtype, copy=False)
    valid = _valid(source, window)
    cover = np.where(valid, layers.mask[0].numpy(), 255).astype(np.uint8)
    opacity = np.where(valid, layers.alpha[0].numpy(), np.nan).astype(np.float32)
    writer.write(window, image, cover, opacity)


def _tensor(image: npt.NDArray[np.generic]) -> Tensor:
    """Image as tensor (1, C, H, W)."""
    return torch.from_numpy(image)[None]
