"""WHU-OPT-SAR datamodule."""

from typing import Any, Literal

from torch import nn

from ..datasets import WHUOPTSAR
from ..samplers import RandomSceneSampler, TileSceneSampler
from ..transforms import RandomFlipRotate, Rescale, SyntheticClouds
from .base import Batch, SceneDataModule

#: Side of a pixel in meters.
PIXEL_SIZE = 5.0

#: Kind of clouds, unless another is asked for.
CLOUDS = 'm3mcr'


class WHUOPTSARDataModule(SceneDataModule):
    """LightningDataModule implementation for the WHU-OPT-SAR dataset.

    The data set has no cloudy images: clouds are drawn on the device. In training every patch gets
    new ones each time, in validation and testing the same place always has the same clouds,
    whatever the run, the worker or the batch.

    Training draws random patches; validation takes patches side by side. Testing and prediction
    divide every sheet into tiles without overlap, in batches of one, so that each pixel counts
    once. Images are scaled to 0..1 on the device.
    """

    def __init__(
        self,
        batch_size: int = 32,
        patch_size: int | tuple[int, int] = 256,
        length: int | None = None,
        num_workers: int = 0,
        augment: bool = False,
        seed: int = 0,
        clouds: str | dict[str, Any] | None = CLOUDS,
        test_size: int | tuple[int, int] = 512,
        stack: bool = False,
        **kwargs: Any,
    ) -> None:
        """Initialize a new WHUOPTSARDataModule instance.

        Args:
            batch_size: Size of each mini-batch.
            patch_size: Size of each patch, either ``size`` or ``(height, width)``.
            length: Number of patches in each training epoch (defaults to those that fit into the
                sheets side by side).
            num_workers: Number of workers for parallel data loading.
            augment: Flip and turn training patches at random.
            seed: Seed of the training patches and of all clouds.
            clouds: Preset of :class:`~torchgeo_cloudseg.transforms.SyntheticClouds`, or its
                arguments by name; None for no clouds.
            test_size: Size of the largest tiles in test and prediction, either ``size`` or
                ``(height, width)``.
            stack: Join optical and SAR image into ``image`` after scaling, for models with a single
                input, such as TorchGeo's own tasks.
            **kwargs: Additional keyword arguments passed to
                :class:`~torchgeo_cloudseg.datasets.WHUOPTSAR`.

        Raises:
            ValueError: If an argument of the clouds is outside its range.
        """
        super().__init__(WHUOPTSAR, batch_size, patch_size, length, num_workers)
        # not through the base class: so the command line knows the arguments of the dataset
        self.kwargs = kwargs
        self.seed = seed
        self.stack = stack
        self.test_size = test_size
        self.test_batch_size = self.predict_batch_size = 1
        self.rescale = Rescale(WHUOPTSAR.ranges)
        drawn, fixed = sky('random', clouds, seed), sky('bounds', clouds, seed)
        turns = [RandomFlipRotate()] if augment else []
        self.augmentations: dict[str, nn.Module] = {
            'train': nn.Sequential(drawn, *turns),
            **dict.fromkeys(('val', 'test', 'predict'), fixed),
        }

    def setup(self, stage: str) -> None:
        """Set up datasets and samplers.

        Args:
            stage: Either 'fit', 'validate', 'test', or 'predict'.
        """
        if stage == 'fit':
            self.train_dataset = WHUOPTSAR(split='train', **self.kwargs)
            self.train_sampler = RandomSceneSampler(
                self.train_dataset, self.patch_size, self.length, seed=self.seed
            )
        if stage in ('fit', 'validate'):
            self.val_dataset = WHUOPTSAR(split='val', **self.kwargs)
            self.val_sampler = TileSceneSampler(self.val_dataset, self.patch_size, equal=True)
        if stage == 'test':
            self.test_dataset = WHUOPTSAR(split='test', **self.kwargs)
            self.test_sampler = TileSceneSampler(self.test_dataset, self.test_size)
        if stage == 'predict':
            self.predict_dataset = WHUOPTSAR(split='test', **self.kwargs)
            self.predict_sampler = TileSceneSampler(self.predict_dataset, self.test_size)


class NoClouds(nn.Module):
    """The sample contract under a clear sky."""

    def forward(self, batch: Batch) -> Batch:
        """Name the image as cloud-free, too.

        Args:
            batch: a batch with ``image``.

        Returns:
            a new dict with the same image as ``image_clear``.
        """
        return {**batch, 'image_clear': batch['image']}


def sky(
    seed_from: Literal['random', 'bounds'],
    clouds: str | dict[str, Any] | None = CLOUDS,
    seed: int = 0,
    data_range: tuple[float, float] = (0.0, 1.0),
) -> nn.Module:
    """What puts clouds on images of WHU-OPT-SAR.

    Args:
        seed_from: ``random`` for new clouds at every call, ``bounds`` for those of the place.
        clouds: preset of :class:`~torchgeo_cloudseg.transforms.SyntheticClouds`, or its arguments
            by name; None for no clouds.
        seed: another number gives other clouds.
        data_range: image values of reflectance 0 and 1.

    Returns:
        a transform of samples and batches.

    Raises:
        ValueError: if an argument of the clouds is outside its range.
    """
    if clouds is None:
        return NoClouds()
    arguments = {'preset': clouds} if isinstance(clouds, str) else dict(clouds)
    # 8-bit images have 0 where there is no data, which scaling leaves as it is
    options = {
        'pixel_size': PIXEL_SIZE,
        'data_range': data_range,
        'nodata': 0.0,
        'seed': seed,
        **arguments,
    }
    return SyntheticClouds(seed_from=seed_from, **options)
