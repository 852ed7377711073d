"""WHU-OPT-SAR datamodule."""

from typing import Any

from ..datasets import WHUOPTSAR, SceneDataset, ZonedDataset
from .scene_datamodule import SceneDataModule
from .sky import Clouds


class WHUOPTSARDataModule(SceneDataModule):
    """LightningDataModule implementation for the WHU-OPT-SAR dataset.

    The data set has no cloudy images: clouds are drawn on the device. In training every patch gets
    new ones each time, in validation and testing the same place always has the same clouds,
    whatever the run, the worker or the batch.

    Training draws random patches; validation takes patches side by side. Testing and prediction
    divide every sheet into tiles without overlap, in batches of one, so that each pixel counts
    once. Images are scaled to 0..1 on the device.

    Example:
        >>> from torchgeo_cloudseg.miniature import write_miniature_whuoptsar
        >>> root = write_miniature_whuoptsar(folder, height_px=96, width_px=96)
        >>> datamodule = WHUOPTSARDataModule(batch_size=2, patch_size=64, root=root)
        >>> datamodule.setup('fit')
        >>> tuple(next(iter(datamodule.train_dataloader()))['image_sar'].shape)
        (2, 1, 64, 64)
    """

    def __init__(
        self,
        batch_size: int = 32,
        patch_size: int | tuple[int, int] = 256,
        length: int | None = None,
        num_workers: int = 0,
        augment: bool = False,
        seed: int = 0,
        clouds: Clouds = 'm3mcr',
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
        common = (batch_size, patch_size, length, num_workers, augment, seed)
        super().__init__(WHUOPTSAR, *common, test_size=test_size, clouds=clouds, stack=stack)
        # not through the base class: so the command line knows the arguments of the dataset
        self.kwargs = kwargs

    def make_dataset(self, split: str) -> SceneDataset | ZonedDataset:
        """Scenes of a split, on their own grids unless a CRS is asked for.

        Args:
            split: 'train', 'val' or 'test'.

        Returns:
            the data set.
        """
        return WHUOPTSAR.on_own_grids(split=split, **self.kwargs)
