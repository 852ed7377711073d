"""One draw of clouds over a place, and how it looks on an image of that place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from .blend import CloudLayers, blend
from .curve import (
    OpacityCurve,
    cloud_alpha,
    cloud_mask,
    image_quantiles,
    plane_quantiles,
)
from .hashing import COLOR_STREAM, PARAMETER_STREAM, uniforms
from .noise import Grid, PlaneNoise
from .recipe import RANGES, CloudRecipe

#: Number of finest lattices that shadows lack: the sun is a disc, and air scatters.
SHADOW_SMOOTHING = 2


class CloudyImage(NamedTuple):
    """An image with clouds and what they consist of; no batch axis where the image had none.

    Attributes:
        image: tensor (B, C, H, W), of the dtype and in the units of the clear image.
        mask: long tensor (B, H, W): 1 cloud, 0 clear.
        alpha: float32 tensor (B, 1, H, W): opacity, 0 clear to 1.
        shadow: float32 tensor (B, 1, H, W): share of the light that is missing on the ground.
    """

    image: Tensor
    mask: Tensor
    alpha: Tensor
    shadow: Tensor


@dataclass(frozen=True, eq=False)
class CloudField:
    """Clouds over a place, one sky per sample, independent of any image.

    Get one from :meth:`draw`, and put it on images with :meth:`apply`. The clouds are a function
    of the position on the ground: they can be evaluated at any resolution and in any window, and
    windows fit together.

    Attributes:
        recipe: kind of sky.
        seeds: one per sample (B).
        grid: pixels of the place for which it was drawn.
        noise: the field that shapes the clouds.
        parameters: what each sample drew from the ranges of the recipe, by name.
        curves: where on that field clouds begin in each sample, and how fast they thicken.
    """

    recipe: CloudRecipe
    seeds: tuple[int, ...]
    grid: Grid
    noise: PlaneNoise
    parameters: tuple[dict[str, float], ...]
    curves: tuple[OpacityCurve, ...]
    #: The field on :attr:`grid`, and the one that shapes the shadows there, which share most of
    #: the work; None to compute them where they are needed.
    drawn: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    @classmethod
    def draw(
        cls,
        recipe: CloudRecipe,
        seeds: Sequence[int],
        size: tuple[int, int],
        pixel_size: float | tuple[float, float],
    ) -> CloudField:
        """Draw clouds over a place, with the cover that the recipe asks for.

        Args:
            recipe: kind of sky.
            seeds: one per sample (B): the same seed gives the same sky, alone or in a batch.
            size: height and width in pixels.
            pixel_size: meters per pixel, or per row and per column.

        Returns:
            one sky per seed.

        Raises:
            ValueError: if there is no seed, or a size is not positive.
        """
        pixel = (pixel_size, pixel_size) if isinstance(pixel_size, int | float) else pixel_size
        if not seeds or min(size) < 1 or not all(0 < side < np.inf for side in pixel):
            raise ValueError(
                f'{len(seeds)} seeds, size={size}, pixel_size={pixel_size}: expected at least one '
                'seed, a height and a width of at least 1 and a pixel size above 0 meters.'
            )
        noise, grid = plane_noise(recipe, min(pixel)), Grid(*size, pixel)
        parameters = draw_parameters(recipe, seeds)
        drawn = noise.render_pair(seeds, grid, shadow_shifts(parameters), SHADOW_SMOOTHING)
        curves = []
        for values, sample in zip(drawn[0].numpy(), parameters, strict=True):
            natural = recipe.cover is None
            edge = plane_quantiles(sample) if natural else image_quantiles(values, sample)
            curves.append(OpacityCurve.through(*edge, sample))
        return cls(recipe, tuple(seeds), grid, noise, parameters, tuple(curves), drawn)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.seeds)

    def __iter__(self) -> Iterator[CloudField]:
        """The skies of the samples, one by one."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> CloudField:
        """The sky of one sample.

        Args:
            index: position of the sample.

        Returns:
            a field of one sample.

        Raises:
            IndexError: if there are not as many.
        """
        position = range(len(self))[index]
        one = slice(position, position + 1)
        return replace(
            self,
            seeds=self.seeds[one],
            parameters=self.parameters[one],
            curves=self.curves[one],
            drawn=None if self.drawn is None else (self.drawn[0][one], self.drawn[1][one]),
        )

    def layers(self, grid: Grid | None = None, device: torch.device | str = 'cpu') -> CloudLayers:
        """Evaluate mask, opacity and shadow.

        Pixels larger than those of the draw show the mean of what they cover; they count as cloudy
        where half of it is.

        Args:
            grid: pixels; by default, those of the draw.
            device: where to compute.

        Returns:
            the layers, (B, H, W).
        """
        device = torch.device(device)
        if device.type == 'cpu' and len(self) > 1:
            return CloudLayers(*_joined((sky.layers(grid) for sky in self), len(self)))
        if grid is not None and max(parts := self._parts(grid)) > 1:
            finer = grid.resampled(grid.height * parts[0], grid.width * parts[1])
            mask, alpha, shadow = (
                avg_pool2d(layer.float(), parts) for layer in self.layers(finer, device)
            )
            return CloudLayers(mask >= 0.5, alpha, shadow)
        if self.drawn is not None and grid in (None, self.grid):
            fields = self.drawn
        else:
            shifts = shadow_shifts(self.parameters)
            fields = self.noise.render_pair(self.seeds, grid or self.grid, shifts, SHADOW_SMOOTHING)
        thickness, shaded = (part.to(device) for part in fields)
        strengths = [sample['shadow_strength'] for sample in self.parameters]
        shadow = cloud_alpha(shaded, self.curves, strengths)
        mask, alpha = cloud_mask(thickness, self.curves), cloud_alpha(thickness, self.curves)
        return CloudLayers(mask, alpha, shadow)

    def _parts(self, grid: Grid) -> tuple[int, int]:
        """Pixels of the draw along each side of a pixel of another grid, at least one."""
        rows, columns = (
            max(1, round(side / own))
            for side, own in zip(grid.pixel_size, self.grid.pixel_size, strict=True)
        )
        return rows, columns

    def reflectance(
        self, bands: int, cloud_reflectance: float | Sequence[float] | None = None
    ) -> Tensor:
        """Reflectance of an opaque cloud.

        Args:
            bands: number of bands C.
            cloud_reflectance: one number, or one per band; by default, that of the recipe.

        Returns:
            float32 tensor (B, C).

        Raises:
            ValueError: if there are several numbers, but not one per band.
        """
        given = self.recipe.cloud_reflectance if cloud_reflectance is None else cloud_reflectance
        mean = np.atleast_1d(np.asarray(given, np.float64))
        if len(mean) not in (1, bands):
            raise ValueError(
                f'cloud_reflectance has {len(mean)} numbers, but the image has {bands} bands: '
                'expected one number, or one per band.'
            )
        drawn = [uniforms(seed, COLOR_STREAM, 1 + bands) for seed in self.seeds]
        deviations = 2 * np.array(drawn) - 1
        brightness = 1 + self.recipe.reflectance_variation * deviations[:, :1]
        tint = 1 + self.recipe.band_variation * deviations[:, 1:]
        return torch.from_numpy((mean * brightness * tint).astype(np.float32))

    def apply(
        self,
        image: Tensor,
        data_range: tuple[float, float] = (0.0, 1.0),
        nodata: float | None = None,
        cloud_reflectance: float | Sequence[float] | None = None,
    ) -> CloudyImage:
        """Put the clouds on an image of the place for which they were drawn.

        Args:
            image: tensor (B, C, H, W), or (C, H, W) for a field of one sample, of any dtype and
                on any device. It may have any number of pixels: it covers the whole place. A
                field of one sample can be put on any number of images. NaN stays NaN.
            data_range: image values of reflectance 0 and 1.
            nodata: pixels that have this value in all bands are left as they are.
            cloud_reflectance: reflectance of an opaque cloud in the bands of this image: one
                number, or one per band; by default, that of the recipe.

        Returns:
            the image with clouds, and their mask, opacity and shadow.

        Raises:
            ValueError: if the shape or the data range does not fit.
        """
        if image.ndim not in (3, 4) or 0 in image.shape:
            raise ValueError(
                f'image has shape {tuple(image.shape)}: expected (C, H, W) or (B, C, H, W).'
            )
        batch = image if image.ndim == 4 else image[None]
        if len(self) not in (1, len(batch)):
            raise ValueError(
                f'{len(batch)} images for a field of {len(self)} skies: expected one sky, or one '
                'per image.'
            )
        layers = self.layers(self.grid.resampled(*batch.shape[-2:]), batch.device)
        reflectance = self.reflectance(batch.shape[1], cloud_reflectance).to(batch.device)
        if len(self) < len(batch):
            layers = CloudLayers(*(layer.repeat(len(batch), 1, 1) for layer in layers))
            reflectance = reflectance.expand(len(batch), -1)
        if batch.is_cpu and len(batch) > 1:
            # one by one: vectorized functions may differ in the last bit at the end of a row, and
            # a single image stays in the cache
            cloudy = torch.empty_like(batch)
            for part in (slice(first, first + 1) for first in range(len(batch))):
                shown = CloudLayers(*(layer[part] for layer in layers))
                blend(batch[part], shown, reflectance[part], data_range, nodata, cloudy[part])
        else:
            cloudy = blend(batch, layers, reflectance, data_range, nodata)
        result = CloudyImage(
            cloudy, layers.mask.long(), layers.alpha[:, None], layers.shadow[:, None]
        )
        return result if image.ndim == 4 else CloudyImage(*(layer[0] for layer in result))


def _joined(parts: Iterable[tuple[Tensor, ...]], count: int) -> list[Tensor]:
    """Tensors of several samples, kind by kind; every sample is let go once it is copied."""
    joined: list[Tensor] = []
    for index, part in enumerate(parts):
        joined = joined or [kind.new_empty(count, *kind.shape[1:]) for kind in part]
        for all_samples, kind in zip(joined, part, strict=True):
            all_samples[index] = kind[0]
    return joined


def plane_noise(recipe: CloudRecipe, pixel_size: float) -> PlaneNoise:
    """The random field of a kind of sky.

    Args:
        recipe: kind of sky.
        pixel_size: meters per pixel; sets the finest detail.

    Returns:
        the field.
    """
    exponent = recipe.spectral_exponent
    exponents = exponent if isinstance(exponent, tuple) else (exponent, exponent)
    return PlaneNoise(recipe.feature_size, exponents, recipe.break_scale, pixel_size)


def draw_parameters(recipe: CloudRecipe, seeds: Sequence[int]) -> tuple[dict[str, float], ...]:
    """What each sample draws from the ranges of a recipe.

    Args:
        recipe: kind of sky.
        seeds: one per sample (B).

    Returns:
        numbers by parameter for each of B samples.
    """
    lows, widths = recipe.limits
    drawn = (lows + widths * uniforms(seed, PARAMETER_STREAM, len(RANGES)) for seed in seeds)
    return tuple(dict(zip(RANGES, numbers.tolist(), strict=True)) for numbers in drawn)


def shadow_shifts(parameters: Sequence[Mapping[str, float]]) -> list[tuple[float, float]]:
    """How far shadows are from the clouds that throw them.

    Args:
        parameters: what each sample drew.

    Returns:
        meters down and to the right for each sample, where north is up.
    """
    shifts = []
    for sample in parameters:
        distance = sample['cloud_height'] * math.tan(math.radians(sample['sun_zenith']))
        azimuth = math.radians(sample['sun_azimuth'])
        # away from the sun; rows count southwards
        shifts.append((distance * math.cos(azimuth), -distance * math.sin(azimuth)))
    return shifts
