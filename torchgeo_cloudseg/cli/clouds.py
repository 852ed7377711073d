"""``cloudseg clouds``: synthetic clouds on a GeoTIFF of any size."""

import sys
from pathlib import Path
from typing import Any, Literal

#: One number, or a range from which one is drawn.
Span = float | tuple[float, float]


def clouds(
    input: str,  # noqa: A002  # the name that users of command lines expect
    output: Path,
    preset: Literal['thin', 'thick', 'broken', 'overcast', 'm3mcr'] = 'broken',
    seed: int = 0,
    cover: Span | Literal['natural'] | None = None,
    thickness: Span | None = None,
    thin: Span | None = None,
    haze: Span | None = None,
    cloud_reflectance: float | list[float] | None = None,
    feature_size: float | None = None,
    cloud_height: Span | None = None,
    sun_zenith: Span | None = None,
    sun_azimuth: Span | None = None,
    shadow_strength: Span | None = None,
    pixel_size: float | None = None,
    data_range: tuple[float, float] | None = None,
    mask: Path | None = None,
    alpha: Path | None = None,
    block_size: int = 1024,
    overwrite: bool = False,
    wait: bool = False,
) -> None:
    """Put clouds and their shadows on a cloud-free GeoTIFF, and write their mask and opacity.

    Georeference and data type are kept. What is not given is up to the preset.

    Args:
        input: cloud-free image, north up: a file, an address, or anything else that GDAL reads.
        output: GeoTIFF to write.
        preset: kind of sky.
        seed: clouds follow from it and from the place; another number gives other clouds.
        cover: share of the pixels under cloud, 0 to 1, or `natural`: anything from clear to
            overcast, half on average.
        thickness: optical thickness of the thickest parts.
        thin: share of the cloudy pixels less than half as opaque as these.
        haze: opacity at the edge of the mask, fading outside.
        cloud_reflectance: reflectance of an opaque cloud, one number or one per band.
        feature_size: largest structures, in meters.
        cloud_height: height above ground, in meters.
        sun_zenith: zenith angle of the sun, in degrees.
        sun_azimuth: azimuth of the sun, in degrees clockwise from north.
        shadow_strength: share of the light that the shadow of an opaque cloud takes away.
        pixel_size: meters per pixel (defaults to what the georeference says).
        data_range: image values of reflectance 0 and 1 (defaults to what is usual for the data
            type: 255 for 8-bit, 10000 for 16-bit integers, 1 for floating-point images).
        mask: GeoTIFF of the cloud mask (defaults to <output>_mask.tif).
        alpha: GeoTIFF of the opacity (defaults to <output>_alpha.tif).
        block_size: rows and columns of a block; memory depends on it alone.
        overwrite: replace files that exist.
        wait: wait for another run that writes the same, rather than refuse.

    Examples:
        Clouds over 40 % of an image, on a gray and hazy day::

            cloudseg clouds clear.tif cloudy.tif --preset broken --cover 0.4 --haze 0.1 0.2
    """
    from ..inference.clouds import add_clouds_to_raster
    from ..transforms import CloudRecipe

    changes = {
        'cover': cover,
        'thickness': thickness,
        'thin': thin,
        'haze': haze,
        'cloud_reflectance': cloud_reflectance,
        'feature_size': feature_size,
        'cloud_height': cloud_height,
        'sun_zenith': sun_zenith,
        'sun_azimuth': sun_azimuth,
        'shadow_strength': shadow_strength,
    }
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    if cover == 'natural':
        given['cover'] = None
    recipe = CloudRecipe.preset(preset, **given)
    files = add_clouds_to_raster(
        input,
        output,
        recipe,
        seed,
        pixel_size,
        data_range,
        mask,
        alpha,
        block_size,
        overwrite,
        wait,
    )
    sys.stdout.write(f'Written to {files.image}; mask: {files.mask}, opacity: {files.alpha}.\n')
