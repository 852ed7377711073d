"""LuojiaSET-OSFCR datamodule."""

from pathlib import Path
from typing import Any

from ..datasets import LuojiaSET, SceneDataset, ZonedDataset
from .scene_datamodule import SceneDataModule
from .sky import Clouds


class LuojiaSETDataModule(SceneDataModule):
    """LightningDataModule implementation for the LuojiaSET-OSFCR dataset.

    Images are scaled to 0..1 on the device.

    Example:
        >>> from torchgeo_cloudseg.miniature import write_miniature_luojiaset
        >>> root = write_miniature_luojiaset(folder, pairs=3)
        >>> datamodule = LuojiaSETDataModule(batch_size=1, patch_size=64, root=root)
        >>> datamodule.setup('fit')
        >>> tuple(next(iter(datamodule.train_dataloader()))['image_clear'].shape)
        (1, 13, 64, 64)
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
        **kwargs: Any,
    ) -> None:
        """Initialize a new LuojiaSETDataModule instance.

        Args:
            batch_size: Size of each mini-batch.
            patch_size: Size of each patch, either ``size`` or ``(height, width)``.
            length: Number of patches in each training epoch (defaults to one per patch of the
                data set).
            num_workers: Number of workers for parallel data loading.
            augment: Flip and turn training patches at random.
            seed: Seed of the training patches and of all clouds.
            train_list: List of the patches to train on (defaults to the split).
            val_list: List of the patches to validate on.
            test_list: List of the patches to test on.
            clouds: Preset of :class:`~torchgeo_cloudseg.transforms.SyntheticClouds`, or its
                arguments by name, to draw clouds on the cloud-free image; None for real clouds.
            stack: Join optical and SAR image into ``image`` after scaling, for models with a single
                input, such as TorchGeo's own tasks.
            **kwargs: Additional keyword arguments passed to
                :class:`~torchgeo_cloudseg.datasets.LuojiaSET`.

        Raises:
            ValueError: If an argument of the clouds is outside its range.
        """
        common = (batch_size, patch_size, length, num_workers, augment, seed)
        lists = (train_list, val_list, test_list)
        super().__init__(LuojiaSET, *common, *lists, clouds=clouds, stack=stack)
        # not through the base class: so the command line knows the arguments of the dataset
        self.kwargs = kwargs

    def make_dataset(self, split: str) -> SceneDataset | ZonedDataset:
        """Patches of a split, on their own grids unless a CRS is asked for.

        Args:
            split: 'train', 'val' or 'test'.

        Returns:
            the data set.
        """
        return LuojiaSET.on_own_grids(split=split, file_list=self.lists[split], **self.kwargs)
