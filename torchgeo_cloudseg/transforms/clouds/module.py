"""Synthetic clouds as a transform of samples and batches."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from .field import CloudField, CloudyImage
from .recipe import CloudRecipe, Span
from .seeds import Seeds, as_seeds, seeds_from_bounds

#: Extra layers that a sample can get, by name.
LAYERS = ('alpha', 'shadow')


class SyntheticClouds(nn.Module):
    """Put clouds and their shadows on cloud-free images of samples and batches.

    Of a sample with ``image``, it makes one with ``image`` (cloudy), ``image_clear`` (the input)
    and ``mask_cloud`` (1 cloud, 0 clear). Nothing else is touched. Every sample has its own sky,
    which does not depend on the other samples of the batch.

    Parameters of the sky that are not given are those of the *preset*; see
    :class:`~torchgeo_cloudseg.transforms.CloudRecipe` for what they mean. A pair of numbers is a
    range from which every sample draws its own.

    Example:
        >>> clouds = SyntheticClouds('broken', pixel_size=10, cover=0.3)
        >>> sample = clouds({'image': torch.rand(4, 256, 256)})
        >>> sample['mask_cloud'].float().mean()
        tensor(0.3000)
    """

    def __init__(
        self,
        preset: str = 'broken',
        pixel_size: float | tuple[float, float] = 10.0,
        data_range: tuple[float, float] = (0.0, 1.0),
        seed_from: Literal['random', 'bounds'] = 'random',
        seed: int = 0,
        source: str = 'image',
        layers: Sequence[str] = (),
        nodata: float | None = None,
        cover: Span | Literal['preset'] | None = 'preset',
        thickness: Span | None = None,
        thin: Span | None = None,
        haze: Span | None = None,
        cloud_reflectance: float | Sequence[float] | None = None,
        reflectance_variation: float | None = None,
        band_variation: float | None = None,
        feature_size: float | None = None,
        spectral_exponent: float | tuple[float, float] | None = None,
        break_scale: float | None = None,
        cloud_height: Span | None = None,
        sun_zenith: Span | None = None,
        sun_azimuth: Span | None = None,
        shadow_strength: Span | None = None,
    ) -> None:
        """Initialize a new SyntheticClouds instance.

        Args:
            preset: ``thin``, ``thick``, ``broken``, ``overcast`` or ``m3mcr``.
            pixel_size: meters per pixel, or per row and per column. With 1, all lengths below
                are in pixels.
            data_range: image values of reflectance 0 and 1.
            seed_from: ``random`` draws new clouds at every call, from PyTorch's global random
                number generator; ``bounds`` gives the same place (``bounds``, and ``epsg`` where
                there is one) the same clouds in every run, worker and batch.
            seed: with ``bounds``, another number gives other clouds.
            source: key of the cloud-free image.
            layers: further layers for the sample: ``alpha`` (opacity) as ``image_alpha`` and
                ``shadow`` (share of light missing) as ``image_shadow``, both float32 of shape
                (1, H, W) or (B, 1, H, W).
            nodata: pixels that have this value in all bands are left as they are. NaN always is.
            cover: share of the pixels under cloud; None for natural variation.
            thickness: optical thickness of the thickest parts.
            thin: share of the cloudy pixels less than half as opaque as these.
            haze: opacity at the edge of the mask, fading outside.
            cloud_reflectance: reflectance of an opaque cloud, one number or one per band.
            reflectance_variation: relative deviation of it per sample.
            band_variation: relative deviation of it per sample and band.
            feature_size: largest structures, in meters.
            spectral_exponent: exponent of the field's energy spectrum, one number or two.
            break_scale: wavelength between the two exponents, in meters.
            cloud_height: height above ground, in meters.
            sun_zenith: zenith angle of the sun, in degrees.
            sun_azimuth: azimuth of the sun, in degrees clockwise from north.
            shadow_strength: share of the light that the shadow of an opaque cloud takes away.

        Raises:
            ValueError: if an argument is outside its range.
        """
        super().__init__()
        changes: dict[str, Any] = {
            'thickness': thickness,
            'thin': thin,
            'haze': haze,
            'cloud_reflectance': cloud_reflectance,
            'reflectance_variation': reflectance_variation,
            'band_variation': band_variation,
            'feature_size': feature_size,
            'spectral_exponent': spectral_exponent,
            'break_scale': break_scale,
            'cloud_height': cloud_height,
            'sun_zenith': sun_zenith,
            'sun_azimuth': sun_azimuth,
            'shadow_strength': shadow_strength,
        }
        changes = {name: value for name, value in changes.items() if value is not None}
        if cover != 'preset':
            changes['cover'] = cover
        if seed_from not in ('random', 'bounds'):
            raise ValueError(f"seed_from={seed_from!r}: expected 'random' or 'bounds'.")
        if not set(layers) <= set(LAYERS):
            raise ValueError(f'layers={layers!r}: expected some of {LAYERS}.')
        self.recipe = CloudRecipe.preset(preset, **changes)
        self.pixel_size = pixel_size
        self.data_range = data_range
        self.seed_from = seed_from
        self.seed = seed
        self.source = source
        self.layers = tuple(layers)
        self.nodata = nodata

    def draw(self, size: tuple[int, int], seeds: Seeds | None = None) -> CloudField:
        """Draw clouds without an image.

        Args:
            size: height and width in pixels.
            seeds: one per sample; a number stands for one sample; None for one new sky.

        Returns:
            the clouds, to be put on images with :meth:`CloudField.apply`.
        """
        return CloudField.draw(self.recipe, as_seeds(seeds), size, self.pixel_size)

    def forward(self, sample: dict[str, Any], seeds: Seeds | None = None) -> dict[str, Any]:
        """Put clouds on a sample or a batch.

        Args:
            sample: sample (C, H, W) or batch (B, C, H, W) with a cloud-free image.
            seeds: one per sample; by default, see *seed_from*.

        Returns:
            a new dict with ``image``, ``image_clear``, ``mask_cloud`` and the layers asked for;
            everything else is the same object.

        Raises:
            KeyError: if the image, or the bounds that seeds are to come from, are missing.
            ValueError: if the image cannot be used, or is cloudy already.
        """
        clear = self._clear_image(sample)
        count = len(clear) if clear.ndim == 4 else 1
        if seeds is None and self.seed_from == 'bounds':
            seeds = seeds_from_bounds(sample, count, self.seed)
        height, width = clear.shape[-2:]
        field = self.draw((height, width), as_seeds(seeds, count))
        cloudy = field.apply(clear, self.data_range, self.nodata)
        extra = {f'image_{name}': getattr(cloudy, name) for name in self.layers}
        return {
            **sample,
            'image': cloudy.image,
            'image_clear': clear,
            'mask_cloud': cloudy.mask,
            **extra,
        }

    def _clear_image(self, sample: dict[str, Any]) -> Tensor:
        if self.source not in sample:
            raise KeyError(
                f'SyntheticClouds needs a cloud-free {self.source!r}, but the sample has only '
                f'{sorted(sample)}.'
            )
        if self.source == 'image' and 'image_clear' in sample:
            raise ValueError(
                "The sample has 'image_clear', so its 'image' is cloudy already. Use "
                "source='image_clear' to put synthetic clouds in place of the real ones."
            )
        image = sample[self.source]
        if not isinstance(image, Tensor) or image.ndim not in (3, 4) or 0 in image.shape:
            found = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise ValueError(
                f'{self.source!r} is {found}: expected a tensor (C, H, W) or (B, C, H, W).'
            )
        return image

    def extra_repr(self) -> str:
        """The arguments that differ between most instances."""
        return (
            f'{self.recipe}, pixel_size={self.pixel_size}, data_range={self.data_range}, '
            f'seed_from={self.seed_from!r}'
        )


def add_clouds(
    image: Tensor,
    recipe: CloudRecipe | str = 'broken',
    seeds: Seeds | None = None,
    pixel_size: float | tuple[float, float] = 10.0,
    data_range: tuple[float, float] = (0.0, 1.0),
    nodata: float | None = None,
) -> CloudyImage:
    """Put clouds and their shadows on a cloud-free image.

    Args:
        image: tensor (C, H, W) or (B, C, H, W) of any dtype and on any device.
        recipe: kind of sky, or the name of a preset.
        seeds: one per image; a number stands for one image; by default, new ones from PyTorch's
            global random number generator.
        pixel_size: meters per pixel, or per row and per column.
        data_range: image values of reflectance 0 and 1.
        nodata: pixels that have this value in all bands are left as they are. NaN always is.

    Returns:
        the image with clouds, and their mask, opacity and shadow.

    Raises:
        ValueError: if an argument does not fit.
    """
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise ValueError(
            f'image has shape {tuple(image.shape)}: expected (C, H, W) or (B, C, H, W).'
        )
    count = len(image) if image.ndim == 4 else 1
    recipe = CloudRecipe.preset(recipe) if isinstance(recipe, str) else recipe
    height, width = image.shape[-2:]
    field = CloudField.draw(recipe, as_seeds(seeds, count), (height, width), pixel_size)
    return field.apply(image, data_range, nodata)
