"""What puts clouds on the cloud-free images of a data set."""

from typing import Any, Literal

from torch import nn

from ..datasets import SceneDataset
from ..transforms import SyntheticClouds

#: Kind of clouds: a preset, or arguments by name; None for no clouds.
Clouds = str | dict[str, Any] | None


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


def sky(
    dataset: type[SceneDataset],
    seed_from: Literal['random', 'bounds'],
    clouds: Clouds,
    seed: int = 0,
    stored: bool = False,
) -> nn.Module | None:
    """What is done about clouds in the images of a data set.

    Args:
        dataset: the data set.
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
    if clouds is None:
        return None if 'image_clear' in dataset.layers else Sky(None)
    arguments = {'preset': clouds} if isinstance(clouds, str) else dict(clouds)
    low, high = (float(end[0]) for end in dataset.ranges['image'])
    nodata = dataset.layers['image'].nodata
    options: dict[str, Any] = {
        'pixel_size': dataset.pixel_size_m,
        'data_range': (low, high) if stored else (0.0, 1.0),
        'seed': seed,
    }
    if nodata is not None:
        # clipped by scaling, as all values are
        scaled = min(max((nodata - low) / (high - low), 0.0), 1.0)
        options['nodata'] = float(nodata) if stored else scaled
    return Sky(SyntheticClouds(seed_from=seed_from, **{**options, **arguments}))
