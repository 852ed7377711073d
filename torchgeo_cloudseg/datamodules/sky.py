"""What puts clouds on the cloud-free images of a data set."""

import copy
from typing import Any, Literal

import torch
from torch import nn

from ..datasets import SceneDataset, ZonedDataset
from ..datasets.scene_declaration import SceneDeclaration
from ..samplers import CenterSceneSampler
from ..transforms import PastedClouds, SyntheticClouds
from ..transforms.clouds.seeds import Seeds

#: Kind of clouds: a preset, or arguments by name (those of SyntheticClouds or, for the preset
#: ``pasted``, of PastedClouds, and, with :class:`SkyOverClear`, ``probability``); None for none.
Clouds = str | dict[str, Any] | None

#: Preset of clouds that are those of other images, where a data set has cloudy ones without twins.
PASTED = 'pasted'

#: Share of an image under clouds up to which it shows the ground.
CLEAR_COVER = 0.01


class Sky(nn.Module):
    """What is seen of a place, and the place without clouds."""

    def __init__(self, clouds: SyntheticClouds | None) -> None:
        """Initialize a new Sky instance.

        Args:
            clouds: what draws clouds on ``image``, in place of those that the data set has; None
                for a clear sky.
        """
        super().__init__()
        self.clouds = clouds

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Show the place under this sky.

        Args:
            batch: a batch with ``image_clear``, or with ``image`` where there are no clouds.

        Returns:
            a new dict with ``image`` and ``image_clear``, and ``mask_cloud`` where clouds were
            drawn.
        """
        clear = batch.get('image_clear', batch.get('image'))
        if self.clouds is None:
            return {**batch, 'image_clear': clear}
        clouded: dict[str, Any] = self.clouds({**batch, 'image': clear})
        return clouded


class ScaledClouds(SyntheticClouds):
    """Synthetic clouds on images that are scaled to 0..1, and stay so.

    A bright cloud can be brighter than the range of the data. Scaling cuts the values of an image
    off there, and so are those of clouds.
    """

    def forward(self, sample: dict[str, Any], seeds: Seeds | None = None) -> dict[str, Any]:
        """Put clouds on a sample or a batch, as :class:`SyntheticClouds` does.

        Args:
            sample: sample or batch with a cloud-free image, 0..1.
            seeds: one per sample.

        Returns:
            a new dict, ``image`` in 0..1.
        """
        clouded = super().forward(sample, seeds)
        return clouded | {'image': clouded['image'].clamp(0, 1)}


class KnownSky(nn.Module):
    """Real clouds of which there is no cloud-free twin: what they hide nobody knows."""

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Say what is known of the ground.

        Args:
            batch: a batch with ``image`` (B, C, H, W) and ``mask_cloud`` (B, H, W).

        Returns:
            a new dict with ``image_clear``, the image itself, and ``mask_hidden`` (B, H, W), 1
            where that does not show the ground: a student learns nothing of it there.
        """
        return {**batch, 'image_clear': batch['image'], 'mask_hidden': batch['mask_cloud']}


class SkyOverClear(nn.Module):
    """Clouds on the clear images of a data set that has cloudy ones, too, but no cloud-free twins.

    What lies beneath the real clouds nobody knows: images under more than :data:`CLEAR_COVER` of
    them stay as they are, and ``mask_hidden`` is 1 on all of their pixels.
    """

    def __init__(
        self, clouds: SyntheticClouds | PastedClouds, probability: float | None = None
    ) -> None:
        """Initialize a new SkyOverClear instance.

        Args:
            clouds: what puts clouds on ``image``: drawn ones, or those of other images.
            probability: with which a clear image gets clouds, 0 to 1 (defaults to 1).

        Raises:
            ValueError: if that is no probability.
        """
        super().__init__()
        self.clouds = clouds
        self.probability = 1.0 if probability is None else probability
        if not 0 <= self.probability <= 1:
            raise ValueError(f'probability={probability}: expected 0 to 1.')

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Put clouds on some images of a batch.

        Args:
            batch: a batch with ``image`` (B, C, H, W) and ``mask_cloud`` (B, H, W).

        Returns:
            a new dict with ``image`` and ``mask_cloud`` as they are under the clouds,
            ``image_clear``, and ``mask_hidden`` (B, H, W), 1 where that does not show the ground;
            ``image_alpha`` (B, 1, H, W), opacity, where the clouds are drawn with that layer.
        """
        image, real = batch['image'], batch['mask_cloud']
        clear = real.float().mean(dim=(1, 2)) <= CLEAR_COVER
        chosen = clear & (torch.rand(len(image), device=image.device) < self.probability)
        made = {'image': image.clone(), 'mask_cloud': real.clone()}
        if 'alpha' in self.clouds.layers:  # of real clouds the mask is all that is known
            made['image_alpha'] = real[:, None].to(image.dtype)
        if chosen.any():
            cloudy = {'image_cloudy': image, 'mask_cloudy': real * ~clear[:, None, None]}
            clouded = self.clouds({'image': image[chosen], **cloudy})
            for key, values in made.items():
                values[chosen] = clouded[key]
        hidden = (~clear)[:, None, None].expand_as(real).long()
        return {**batch, **made, 'image_clear': image, 'mask_hidden': hidden}


def keep_clear(dataset: SceneDataset | ZonedDataset) -> None:
    """Leave out scenes that are not clear by their cloud masks, as a teacher wants it.

    Args:
        dataset: a data set with cloud masks; its index is changed.
    """
    masks = copy.copy(dataset)
    if isinstance(masks, ZonedDataset):
        masks = ZonedDataset([copy.copy(part) for part in masks.zone_datasets], masks.crs)
    parts: list[Any] = getattr(masks, 'zone_datasets', [masks])
    for part in parts:
        part.modalities = ('mask_cloud',)
    clear = [
        query.scene
        for query in CenterSceneSampler(masks)
        if masks[query]['mask_cloud'].float().mean() <= CLEAR_COVER
    ]
    dataset.index = dataset.index[dataset.index['scene'].isin(clear)]


def sky(
    facts: SceneDeclaration | type[SceneDeclaration],
    seed_from: Literal['random', 'bounds'],
    clouds: Clouds,
    seed: int = 0,
    stored: bool = False,
) -> nn.Module | None:
    """What is done about clouds in the images of a data set.

    Args:
        facts: what the data set, or its class, states.
        seed_from: ``random`` for new clouds at every call, ``bounds`` for those of the place.
        clouds: preset of :class:`~torchgeo_cloudseg.transforms.SyntheticClouds`, or its arguments
            by name; None for those of the data set, or none.
        seed: another number gives other clouds.
        stored: True for images in stored units, False for those in 0..1.

    Returns:
        a transform of samples and batches; None where nothing is to be done.

    Raises:
        ValueError: if an argument of the clouds is outside its range.
    """
    twins, real = ('image_clear' in facts.layers, 'mask_cloud' in facts.layers)
    optical = facts.layers.get('image') or facts.layers.get('image_clear')
    if optical is None:
        return None
    if real and not twins and seed_from == 'bounds':
        return None  # there are real clouds to be tested on
    if clouds is None:
        return None if twins else KnownSky() if real else Sky(None)
    arguments: dict[str, Any] = {'preset': clouds} if isinstance(clouds, str) else dict(clouds)
    low, high = (float(end[0]) for end in facts.ranges['image'])
    nodata = optical.nodata
    options: dict[str, Any] = {
        'pixel_size': facts.pixel_size_m,
        'data_range': (low, high) if stored else (0.0, 1.0),
        'seed': seed,
    }
    if twins:  # new clouds in place of the real ones
        options['source'] = 'image_clear'
    if nodata is not None:
        # clipped by scaling, as all values are
        scaled = min(max((nodata - low) / (high - low), 0.0), 1.0)
        options['nodata'] = float(nodata) if stored else scaled
    probability = arguments.pop('probability', None)
    over_clear = real and not twins
    if arguments.get('preset') == PASTED:
        if not over_clear:
            why = 'all images have cloud-free twins' if real else 'there are no cloudy images'
            raise ValueError(
                f'clouds: preset={PASTED!r} puts clouds of cloudy images on clear ones, but here '
                f'{why}. Leave `clouds` out, or give another preset.'
            )
        del arguments['preset']
        return SkyOverClear(_pasted(arguments), probability)
    kind = SyntheticClouds if stored else ScaledClouds
    drawn = kind(seed_from=seed_from, **{**options, **arguments})
    if over_clear:
        return SkyOverClear(drawn, probability)
    if probability is not None:
        raise ValueError('probability: only where a data set has cloudy images of its own.')
    return Sky(drawn)


def _pasted(arguments: dict[str, Any]) -> PastedClouds:
    """Clouds of other images, by arguments of a configuration."""
    foreign = sorted({*arguments} - {'bands', 'layers'})
    if foreign:
        raise ValueError(
            f'clouds: {foreign} with preset={PASTED!r}, whose clouds are not drawn: expected '
            "'bands', 'layers' and 'probability' alone."
        )
    return PastedClouds(**arguments)
