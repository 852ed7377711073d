"""Synthetic clouds on a GeoTIFF of any size, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._files import writing
from .._progress import progress_bar
from .._random import combined_seed
from ..rasters import Image, RasterWriter, SceneError, block_cache, on_disk, sources_of
from ..rasters.window import Span, blocks
from ..rasters.write import TILED
from ..transforms.clouds import CloudField, CloudRecipe, Grid
from ..transforms.clouds.blending import blend, check_data_range
from ..transforms.clouds.opacity import shares_above

#: Rows and columns.
Block = tuple[Span, Span]

#: Image value of reflectance 1, by dtype; that of reflectance 0 is 0.
WHITE = {'uint8': 255.0, 'uint16': 10000.0, 'int16': 10000.0, 'float32': 1.0, 'float64': 1.0}

#: Blocks of files that are kept in memory. Without a limit it would be a share of the machine's.
CACHE_BYTES = 1 << 28

#: Range and number of bins of the histogram that finds quantiles; the field has unit variance.
FIELD_RANGE, BINS = 8.0, 1 << 16

#: Meters per degree of latitude, and of longitude at the equator.
METERS_PER_DEGREE = 111_132.0, 111_320.0


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
    wait: bool = False,
    progress: bool = True,
) -> CloudRasters:
    """Put clouds and their shadows on a cloud-free GeoTIFF of any size.

    The clouds are continuous over the scene, whatever the size of the blocks, and memory does not
    grow with the scene. The cover that the recipe asks for is met over all pixels that have data.
    Files appear under their names when all are complete.

    Args:
        input: cloud-free image, north up: a file, an address, or anything else that GDAL reads.
            Alpha bands are left as they are.
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
        wait: wait for another run that writes the same, rather than refuse.
        progress: show a progress bar.

    Returns:
        the files that were written.

    Raises:
        FileExistsError: if an output exists and *overwrite* is False.
        FileNotFoundError: if the folder of an output does not exist.
        OutputError: if a file cannot be written in full, as on a full disk.
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
    if others := [path for path in files if path.suffix.lower() not in ('.tif', '.tiff')]:
        raise ValueError(f'{others[0]}: only GeoTIFFs are written; give it a name ending in .tif.')
    recipe = CloudRecipe.preset(recipe) if isinstance(recipe, str) else recipe
    # the image gets its name last: where it is, the others are
    order = files.mask, files.alpha, files.image
    read = list(filter(None, map(on_disk, (str(input), *sources_of(str(input))))))
    with (
        block_cache(CACHE_BYTES),
        closing(open_clear(input)) as image,
        writing(order, read, overwrite, wait) as (second, third, first),
    ):
        if data_range is None and image.header.dtype not in WHITE:
            raise SceneError(
                image.path,
                f'dtype {image.header.dtype}, for which no data range is usual',
                f'one of {", ".join(WHITE)}',
                'Pass data_range=(black, white), the values of reflectance 0 and 1.',
            )
        ends = data_range or (0.0, WHITE[image.header.dtype])
        place, bounds = place_of(image, pixel_size)
        windows = list(blocks(place.height, place.width, block_size))
        steps = (2 if recipe.cover is None else 3) * len(windows)
        with progress_bar(
            title=output.name, total=steps, unit='block', disable=not progress
        ) as bar:
            seeds, size = [combined_seed([seed, *bounds])], (place.height, place.width)
            field = CloudField.draw(recipe, seeds, size, place.pixel_size, lazily=True)
            if recipe.cover is not None:
                field = _covering(image, field, windows, ends, bar)
            with _writers(image, CloudRasters(first, second, third), bar.update) as writers:
                for window in windows:
                    _write_block(image, writers, field, window, ends)
                    bar.update()
    return files


def open_clear(path: str | Path) -> Image:
    """Open the input.

    Args:
        path: a raster of one dtype.

    Returns:
        the open image.

    Raises:
        SceneError: if it is not there, cannot be read, or is not an image.
    """
    with ExitStack() as files:
        image = files.enter_context(closing(Image(path)))
        kinds = sorted(set(image.raster.dtypes))
        if len(kinds) > 1 or 'complex' in kinds[0]:
            raise SceneError(
                image.path,
                f'bands of dtype {kinds}',
                'real numbers of one dtype',
                'Write the image with one dtype for all bands (gdal_translate -ot).',
            )
        if image.header.has_palette:
            raise SceneError(
                image.path,
                'a palette, whose numbers are no brightness',
                'bands of brightness',
                'Expand it first (gdal_translate -expand rgb).',
            )
        files.pop_all()
    return image


def place_of(image: Image, pixel_size: float | None) -> tuple[Grid, list[int]]:
    """Grid of a scene in meters, and integers that name the place.

    Args:
        image: an open image.
        pixel_size: meters per pixel; None to follow the georeference.

    Returns:
        the grid, and the bounds in a thousandth of the CRS's unit (a hundred-millionth of a
        degree) with the EPSG code.

    Raises:
        ValueError: if there is no georeference to follow, or north is not up.
    """
    transform, crs, bounds = image.raster.transform, image.raster.crs, image.raster.bounds
    referenced = crs is not None and not transform.is_identity
    if referenced and not (transform.b == transform.d == 0 and transform.e < 0 < transform.a):
        raise SceneError(
            image.path,
            f'the geotransform {tuple(transform)[:6]}',
            'north up without rotation, so that shadows can fall away from the sun',
            'Warp the image first (gdalwarp).',
        )
    if pixel_size is not None and not 0 < pixel_size < math.inf:
        raise ValueError(f'pixel_size={pixel_size}: expected meters per pixel above 0.')
    if pixel_size is None and not referenced:
        expected = 'one, which tells how large pixels are'
        raise SceneError(image.path, 'no georeference', expected, 'Pass pixel_size= in meters.')
    degrees = referenced and crs.is_geographic
    if pixel_size is not None:
        sides = pixel_size, pixel_size
    elif degrees:
        latitude, longitude = METERS_PER_DEGREE
        middle = math.radians((bounds.bottom + bounds.top) / 2)
        sides = -transform.e * latitude, transform.a * longitude * math.cos(middle)
    else:
        meters = crs.linear_units_factor[1]
        sides = -transform.e * meters, transform.a * meters
    code = (crs.to_epsg() or 0) if referenced else 0
    unit = 1e-8 if degrees else 1e-3
    grid = Grid(image.grid.height, image.grid.width, sides)
    return grid, [code, *(round(side / unit) for side in bounds)]


@contextmanager
def _writers(
    image: Image, files: CloudRasters, advance: Callable[[], object]
) -> Iterator[list[RasterWriter]]:
    """Writers of image, mask and opacity, whose files are compared with what was written."""
    grid, layout = image.grid, {**TILED, 'compress': 'deflate'}
    with (
        RasterWriter.like(image.raster, files.image) as cloudy,
        RasterWriter(files.mask, grid, 1, 'uint8', 255, **layout) as mask,
        RasterWriter(files.alpha, grid, 1, 'float32', math.nan, predictor=3, **layout) as alpha,
    ):
        mask.raster.set_band_description(1, 'cloud mask (1 cloud, 0 clear)')
        alpha.raster.set_band_description(1, 'cloud opacity')
        yield [cloudy, mask, alpha]
    cloudy.verify(advance=advance)
    mask.verify()
    alpha.verify()


def _covering(
    image: Image,
    field: CloudField,
    windows: list[Block],
    data_range: tuple[float, float],
    bar: Any,
) -> CloudField:
    """Clouds with the cover that the recipe asks for over pixels with data."""
    ends = -FIELD_RANGE, FIELD_RANGE
    edges = np.linspace(*ends, BINS + 1)
    histogram = np.zeros(BINS, np.int64)
    for window in windows:
        _, valid, _ = _read(image, window, data_range)
        values = field.noise.on(_part(field.grid, window))[0].numpy()[valid]
        # equal bins are found without a search
        histogram += np.histogram(values.clip(*ends), BINS, ends)[0]
        bar.update()
    if not histogram.any():
        raise SceneError(image.path, 'no pixel with data', 'some')
    below = np.concatenate([[0], np.cumsum(histogram)]) / histogram.sum()
    # the last edge below the share and the first above it bound the bins that count
    occupied = slice(np.argmax(below > 0) - 1, np.argmax(below >= 1) + 1)
    shares = (1 - float(share) for share in shares_above(field.parameters))
    level, half = (np.interp([share], below[occupied], edges[occupied]) for share in shares)
    return field.through(torch.from_numpy(level).float(), torch.from_numpy(half).float())


def _part(place: Grid, window: Block) -> Grid:
    """Grid of a block."""
    (top, bottom), (left, right) = window
    return place.window(top, left, bottom - top, right - left)


def _read(
    image: Image, window: Block, data_range: tuple[float, float]
) -> tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_]]:
    """The ground (1, C, H, W), where it has data in any band, and where the file says so."""
    ground, declared = image.read(image.header.color_bands, *window)
    valid = declared
    if np.issubdtype(ground.dtype, np.floating):
        valid = declared & ~np.isnan(ground).all(axis=0)
    tensor = torch.from_numpy(ground)[None]
    try:
        check_data_range(tensor, data_range, _nodata(image))
    except ValueError as error:
        raise ValueError(f'{image.path}, {window}: {error}') from error
    return tensor, valid, declared


def _nodata(image: Image) -> float | None:
    """Number that marks missing pixels; NaN is always missing."""
    nodata = image.header.nodata
    return None if nodata is None or math.isnan(nodata) else nodata


def _write_block(
    image: Image,
    writers: list[RasterWriter],
    field: CloudField,
    window: Block,
    data_range: tuple[float, float],
) -> None:
    """Cloud one block and write it."""
    bands = image.header.color_bands
    ground, valid, declared = _read(image, window, data_range)
    layers = field.layers(_part(field.grid, window))
    cloudy = blend(ground, layers, field.reflectance(len(bands)), data_range, _nodata(image))
    # bands that are masks stay as they are
    pixels, _ = image.read(range(1, image.header.count + 1), *window)
    pixels[[band - 1 for band in bands]] = cloudy[0].numpy()
    cover = np.where(valid, layers.mask.numpy(), 255).astype(np.uint8)
    opacity = np.where(valid, layers.alpha.numpy(), np.nan).astype(np.float32)
    products: list[NDArray[Any]] = [pixels, cover, opacity]
    for writer, values in zip(writers, products, strict=True):
        writer.write(values, window[0][0], window[1][0], declared)
