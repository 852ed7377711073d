"""Synthetic clouds as a transform of samples and batches."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor, nn

from .cloud_field import CloudField, CloudyImage, as_batch
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
        >>> import torch
        >>> clouds = SyntheticClouds('broken', pixel_size=10, cover=0.3)
        >>> sample = clouds({'image': torch.rand(4, 256, 256)})
        >>> round(float(sample['mask_cloud'].float().mean()), 1)
        0.3
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
        bands: Sequence[int] | None = None,
        **changes: Span | Sequence[float] | None,
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
            bands: positions of the bands that see the clouds, from 0, such as those of the later of
                two dates; the others are left as they are (defaults to all). All that is said of
                bands elsewhere is said of these.
            **changes: parameters of the recipe in place of those of the preset: ``cover`` (None for
                natural variation), ``thickness``, ``thin``, ``haze``, ``cloud_reflectance``,
                ``reflectance_variation``, ``band_variation``, ``feature_size``,
                ``spectral_exponent``, ``break_scale``, ``cloud_height``, ``sun_zenith``,
                ``sun_azimuth``, ``shadow_strength``. Others that are None are not changed.

        Raises:
            ValueError: if an argument is outside its range.
        """
        super().__init__()
        if seed_from not in ('random', 'bounds'):
            raise ValueError(f"seed_from={seed_from!r}: expected 'random' or 'bounds'.")
        if not set(layers) <= set(LAYERS):
            raise ValueError(f'layers={layers!r}: expected some of {LAYERS}.')
        if bands is not None and (not bands or len({*bands}) < len(bands) or min(bands) < 0):
            raise ValueError(f'bands={bands!r}: expected different positions of bands, from 0.')
        given = {key: x for key, x in changes.items() if x is not None or key == 'cover'}
        self.recipe = CloudRecipe.preset(preset, **given)
        self.pixel_size = pixel_size
        self.data_range = data_range
        self.seed_from = seed_from
        self.seed = seed
        self.source = source
        self.layers = tuple(layers)
        self.nodata = nodata
        self.bands = None if bands is None else list(bands)
        self._checked = False

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
        clear: Tensor = sample[self.source]
        if self.bands is not None and max(self.bands) >= clear.shape[-3]:
            raise ValueError(f'bands={self.bands}, but {self.source!r} has {clear.shape[-3]}.')
        count = len(as_batch(clear))
        if seeds is None and self.seed_from == 'bounds':
            seeds = seeds_from_bounds(sample, count, self.seed)
        # on devices, the data range is compared with the first batch only: it takes time to wait
        check = clear.is_cpu or not self._checked
        seen = clear if self.bands is None else clear[..., self.bands, :, :]
        cloudy = add_clouds(
            seen, self.recipe, seeds, self.pixel_size, self.data_range, self.nodata, check
        )
        self._checked = True
        image = cloudy.image
        if self.bands is not None:
            image = clear.clone()
            image[..., self.bands, :, :] = cloudy.image
        made = {'image': image, 'image_clear': clear, 'mask_cloud': cloudy.mask}
        return sample | made | {f'image_{name}': getattr(cloudy, name) for name in self.layers}

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
    check: bool = True,
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
        check: whether to compare the values with the data range, for which the CPU waits for the
            image's device.

    Returns:
        the image with clouds, and their mask, opacity and shadow.

    Raises:
        ValueError: if an argument does not fit.

    Example:
        >>> import torch
        >>> cloudy = add_clouds(torch.full((1, 4, 64, 64), 0.1), 'overcast', seeds=1)
        >>> tuple(cloudy.image.shape), bool((cloudy.image >= 0.1).any())
        ((1, 4, 64, 64), True)
    """
    recipe = CloudRecipe.preset(recipe) if isinstance(recipe, str) else recipe
    batch = as_batch(image)
    size, numbers = (batch.shape[2], batch.shape[3]), as_seeds(seeds, len(batch))
    # other devices lack some of what it takes
    device = image.device if image.is_cuda else 'cpu'
    seeded = seeds is not None or not image.is_cuda
    field = CloudField.draw(recipe, numbers, size, pixel_size, device, seeded)
    return field.apply(image, data_range, nodata, check=check)
