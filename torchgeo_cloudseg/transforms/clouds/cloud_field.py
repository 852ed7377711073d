"""One draw of clouds over a place, and how it looks on an image of that place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..._random import COLOR_STREAM, PARAMETER_STREAM, seeded_generator
from .blending import CloudLayers, blend, check_data_range
from .opacity import OpacityCurve, image_quantiles, plane_quantiles
from .random_field import Grid, RandomField, Spectrum
from .recipe import RANGES, CloudRecipe

#: Standard deviation of the Gaussian that smooths shadows, in pixels of the draw: the sun is a
#: disc, and air scatters.
SHADOW_BLUR = 1.5


class CloudyImage(NamedTuple):
    """An image with clouds and what they consist of; no batch axis where the image had none.

    Attributes:
        image: tensor (B, C, H, W), of the dtype and in the units of the clear image.
        mask: long tensor (B, H, W): 1 cloud, 0 clear.
        alpha: float32 tensor (B, 1, H, W): opacity, 0 clear to 1.
        shadow: float32 tensor (B, 1, H, W): share of the light that is missing on the ground.

    Example:
        >>> import torch
        >>> from torchgeo_cloudseg.transforms import add_clouds
        >>> cloudy = add_clouds(torch.full((4, 64, 64), 0.1), 'overcast', seeds=1)
        >>> tuple(cloudy.image.shape), tuple(cloudy.mask.shape)
        ((4, 64, 64), (64, 64))
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
        shade: the field that shapes their shadows: the same, moved away from the sun and smooth.
        parameters: what each sample drew from the ranges of the recipe: float64 tensors (B,), by
            name.
        curve: where on that field clouds begin in each sample, and how fast they thicken.

    Example:
        >>> import torch
        >>> from torchgeo_cloudseg.transforms import CloudRecipe
        >>> recipe = CloudRecipe.preset('broken', cover=0.5)
        >>> field = CloudField.draw(recipe, seeds=[1], size=(64, 64), pixel_size=10)
        >>> cloudy = field.apply(torch.full((1, 4, 64, 64), 0.1))
        >>> tuple(cloudy.alpha.shape)
        (1, 1, 64, 64)
    """

    recipe: CloudRecipe
    seeds: tuple[int, ...]
    grid: Grid
    noise: RandomField
    shade: RandomField
    parameters: Mapping[str, Tensor]
    curve: OpacityCurve
    #: The two fields on :attr:`grid`; None to compute them where they are needed.
    drawn: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    @classmethod
    def draw(
        cls,
        recipe: CloudRecipe,
        seeds: Sequence[int],
        size: tuple[int, int],
        pixel_size: float | tuple[float, float],
        device: torch.device | str = 'cpu',
        seeded: bool = True,
        lazily: bool = False,
    ) -> Self:
        """Draw clouds over a place, with the cover that the recipe asks for.

        Args:
            recipe: kind of sky.
            seeds: one per sample (B): the same seed gives the same sky, alone or in a batch.
            size: height and width in pixels.
            pixel_size: meters per pixel, or per row and per column.
            device: where to compute.
            seeded: whether the shapes of clouds follow from the seeds, on all devices alike. False
                draws them from PyTorch's global generator on the device, which takes less time;
                then colors and numbers such as the cover follow from the seeds alone.
            lazily: whether to evaluate nothing yet, as the place may be larger than memory. The
                cover of the recipe is met on average over many places then; see :meth:`through`.

        Returns:
            one sky per seed.

        Raises:
            ValueError: if there is no seed, or a size is not positive.
        """
        rows, columns = np.broadcast_to(pixel_size, 2).tolist()
        if not seeds or min(size) < 1 or not all(0 < side < np.inf for side in (rows, columns)):
            raise ValueError(
                f'{len(seeds)} seeds, size={size}, pixel_size={pixel_size}: expected at least one '
                'seed, a height and a width of at least 1 and a pixel size above 0 meters.'
            )
        grid = Grid(*size, (rows, columns))
        large, small = np.broadcast_to(recipe.spectral_exponent, 2).tolist()
        spectrum = Spectrum(recipe.feature_size, (large, small), recipe.break_scale)
        noise = RandomField.draw(spectrum, grid, seeds, device, seeded)
        shares = [seeded_generator(seed, PARAMETER_STREAM).random(len(RANGES)) for seed in seeds]
        low, high = recipe.limits
        numbers = torch.from_numpy((low + (high - low) * np.array(shares)).T)
        parameters = dict(zip(RANGES, numbers.to(device, non_blocking=True), strict=True))
        shade = noise.moved(*shadow_shifts(parameters), SHADOW_BLUR * min(rows, columns))
        drawn = None if lazily else (noise.on(grid), shade.on(grid))
        if drawn is None or recipe.cover is None:
            edges = plane_quantiles(parameters)
        else:
            edges = image_quantiles(drawn[0], parameters)
        curve = OpacityCurve.through(*edges, parameters)
        return cls(recipe, tuple(seeds), grid, noise, shade, parameters, curve, drawn)

    def through(self, level: Tensor, half: Tensor) -> Self:
        """The same field with more or less of it cloudy.

        Args:
            level: field values at the edge of the clouds, tensor (B,).
            half: field values of half the largest opacity, tensor (B,).

        Returns:
            the clouds.
        """
        return replace(self, curve=OpacityCurve.through(level, half, self.parameters))

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.seeds)

    def __getitem__(self, index: int) -> Self:
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
            noise=self.noise[one],
            shade=self.shade[one],
            parameters={name: numbers[one] for name, numbers in self.parameters.items()},
            curve=OpacityCurve(*(number[one] for number in self.curve)),
            drawn=self.drawn and (self.drawn[0][one], self.drawn[1][one]),
        )

    def layers(self, grid: Grid | None = None) -> CloudLayers:
        """Evaluate mask, opacity and shadow.

        Pixels larger than those of the draw show the mean of what they cover; they count as cloudy
        where half of it is.

        Args:
            grid: pixels; by default, those of the draw.

        Returns:
            the layers, (B, H, W).
        """
        grid = grid or self.grid
        # pixels of the draw along each side of a pixel
        ratios = np.divide(grid.pixel_size, self.grid.pixel_size)
        rows, columns = np.maximum(ratios.round(), 1).astype(int).tolist()
        if rows > 1 or columns > 1:
            finer = self.layers(grid.resampled(grid.height * rows, grid.width * columns))
            mask, alpha, shadow = (avg_pool2d(layer.float(), (rows, columns)) for layer in finer)
            return CloudLayers(mask >= 0.5, alpha, shadow)
        drawn = self.drawn if grid == self.grid else None
        thickness, shaded = drawn or (self.noise.on(grid), self.shade.on(grid))
        strength = self.parameters['shadow_strength'].float()[:, None, None]
        shadow = self.curve.alpha(shaded).mul_(strength)
        return CloudLayers(self.curve.mask(thickness), self.curve.alpha(thickness), shadow)

    def reflectance(
        self, bands: int, cloud_reflectance: float | Sequence[float] | None = None
    ) -> Tensor:
        """Reflectance of an opaque cloud.

        Args:
            bands: number of bands C.
            cloud_reflectance: one number, or one per band; by default, that of the recipe.

        Returns:
            float32 tensor (B, C), on the CPU.

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
        drawn = [seeded_generator(seed, COLOR_STREAM).random(1 + bands) for seed in self.seeds]
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
        check: bool = True,
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
            check: whether to compare the values with the data range, for which the CPU waits for
                the image's device.

        Returns:
            the image with clouds, and their mask, opacity and shadow.

        Raises:
            ValueError: if the shape or the data range does not fit.
        """
        batch = as_batch(image)
        if len(self) not in (1, len(batch)):
            raise ValueError(
                f'{len(batch)} images for a field of {len(self)} skies: expected one sky, or one '
                'per image.'
            )
        if check:
            check_data_range(batch, data_range, nodata)
        reflectance = self.reflectance(batch.shape[1], cloud_reflectance)
        reflectance = reflectance.to(batch.device, non_blocking=True)
        shown = self.layers(self.grid.resampled(*batch.shape[-2:]))
        layers = CloudLayers(
            *(layer.to(batch.device).expand(len(batch), -1, -1).contiguous() for layer in shown)
        )
        cloudy = blend(batch, layers, reflectance, data_range, nodata)
        result = cloudy, layers.mask.long(), layers.alpha[:, None], layers.shadow[:, None]
        return CloudyImage(*(layer if image.ndim == 4 else layer[0] for layer in result))


def as_batch(image: Tensor) -> Tensor:
    """An image as a batch.

    Args:
        image: tensor (C, H, W) or (B, C, H, W).

    Returns:
        tensor (B, C, H, W).

    Raises:
        ValueError: if it has another shape, or no pixel.
    """
    shape = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
    if not isinstance(image, Tensor) or image.ndim not in (3, 4) or 0 in image.shape:
        raise ValueError(f'image has shape {shape}: expected a tensor (C, H, W) or (B, C, H, W).')
    return image if image.ndim == 4 else image[None]


def shadow_shifts(parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """How far shadows are from the clouds that throw them.

    Args:
        parameters: ``cloud_height``, ``sun_zenith`` and ``sun_azimuth``, tensors (B,).

    Returns:
        meters down and to the right for each sample (B,), where north is up.
    """
    distance = parameters['cloud_height'] * parameters['sun_zenith'].deg2rad().tan()
    azimuth = parameters['sun_azimuth'].deg2rad()
    # away from the sun; rows count southwards
    return distance * azimuth.cos(), -distance * azimuth.sin()
