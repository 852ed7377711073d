"""CloudSEN12-high datamodule."""

from pathlib import Path
from typing import Any

from ..datasets import CloudSEN12, SceneDataset, ZonedDataset
from .scene_datamodule import SceneDataModule
from .sky import Clouds


class CloudSEN12DataModule(SceneDataModule):
    """LightningDataModule implementation for the CloudSEN12-high dataset.

    There are no cloud-free twins of its cloudy images. In training, clear images can get synthetic
    clouds; images that are cloudy by their label stay as they are, and ``mask_hidden`` tells a
    student that nobody knows what lies beneath. Validation, testing and prediction see the real
    clouds only. Images are scaled to 0..1 on the device.

    Example:
        >>> from torchgeo_cloudseg.miniature import write_miniature_cloudsen12
        >>> root = write_miniature_cloudsen12(folder, counts={'train': 1, 'val': 1})
        >>> datamodule = CloudSEN12DataModule(batch_size=1, patch_size=64, root=root)
        >>> datamodule.setup('fit')
        >>> tuple(next(iter(datamodule.train_dataloader()))['image'].shape)
        (1, 12, 64, 64)
    """

    def __init__(
        self,
        batch_size: int = 16,
        patch_size: int | tuple[int, int] = 256,
        length: int | None = None,
        num_workers: int = 0,
        augment: bool = False,
        seed: int = 0,
        train_list: str | Path | None = None,
        val_list: str | Path | None = None,
        test_list: str | Path | None = None,
        clouds: Clouds = None,
        stack: bool = False,
        clear_only: bool = False,
        **kwargs: Any,
    ) -> None:
        """Initialize a new CloudSEN12DataModule instance.

        Args:
            batch_size: Size of each mini-batch.
            patch_size: Size of each patch, either ``size`` or ``(height, width)``.
            length: Number of patches in each training epoch (defaults to one per image of the
                data set).
            num_workers: Number of workers for parallel data loading.
            augment: Flip and turn training patches at random.
            seed: Seed of the training patches and of all clouds.
            train_list: List of the images to train on (defaults to the split).
            val_list: List of the images to validate on.
            test_list: List of the images to test on.
            clouds: Clouds for clear training images: a preset of
                :class:`~torchgeo_cloudseg.transforms.SyntheticClouds`, or its arguments by name,
                and ``probability``; ``pasted`` for those of cloudy training images, see
                :class:`~torchgeo_cloudseg.transforms.PastedClouds`; None for none.
            stack: Join optical and SAR image into ``image`` after scaling, for models with a single
                input, such as TorchGeo's own tasks.
            clear_only: Train on clear images only, as a teacher does.
            **kwargs: Additional keyword arguments passed to
                :class:`~torchgeo_cloudseg.datasets.CloudSEN12`.

        Raises:
            ValueError: If an argument of the clouds is outside its range.
        """
        common = (batch_size, patch_size, length, num_workers, augment, seed)
        lists = (train_list, val_list, test_list)
        super().__init__(CloudSEN12, *common, *lists, clouds=clouds, stack=stack)
        self.clear_only = clear_only
        # not through the base class: so the command line knows the arguments of the dataset
        self.kwargs = kwargs

    def make_dataset(self, split: str) -> SceneDataset | ZonedDataset:
        """Images of a split, on their own grids unless a CRS is asked for.

        Args:
            split: 'train', 'val' or 'test'.

        Returns:
            the data set.
        """
        return CloudSEN12.on_own_grids(split=split, file_list=self.lists[split], **self.kwargs)
