"""OMBRIA datamodule."""

from pathlib import Path
from typing import Any

from ..datasets import OMBRIA, SceneDataset, ZonedDataset
from ..transforms import MendWrapped
from .scene_datamodule import Batch, SceneDataModule
from .sky import Clouds


class OMBRIADataModule(SceneDataModule):
    """LightningDataModule implementation for the OMBRIA dataset.

    Real clouds lie over whole floods. In training, clear images can get synthetic clouds, on the
    bands after the flood; images that are cloudy by the mask stay as they are, and
    ``mask_hidden`` tells a student that nobody knows what lies beneath. Validation, testing and
    prediction see the real clouds only. Values that wrapped around in bright clouds are mended.
    Images are scaled to 0..1 on the device.

    Example:
        >>> from torchgeo_cloudseg.miniature import write_miniature_ombria
        >>> root = write_miniature_ombria(folder, places_per_event=1, size_px=64)
        >>> datamodule = OMBRIADataModule(batch_size=1, patch_size=64, root=root)
        >>> datamodule.setup('fit')
        >>> tuple(next(iter(datamodule.train_dataloader()))['image'].shape)
        (1, 6, 64, 64)
    """

    def __init__(
        self,
        batch_size: int = 8,
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
        mend: bool = True,
        clear_only: bool = False,
        **kwargs: Any,
    ) -> None:
        """Initialize a new OMBRIADataModule instance.

        Args:
            batch_size: Size of each mini-batch.
            patch_size: Size of each patch, either ``size`` or ``(height, width)``.
            length: Number of patches in each training epoch (defaults to one per place).
            num_workers: Number of workers for parallel data loading.
            augment: Flip and turn training patches at random.
            seed: Seed of the training patches and of all clouds.
            train_list: List of the ids to train on (defaults to the fold).
            val_list: List of the ids to validate on.
            test_list: List of the ids to test on.
            clouds: Clouds for clear training images: a preset of
                :class:`~torchgeo_cloudseg.transforms.SyntheticClouds`, or its arguments by name,
                and ``probability``; ``pasted`` for those of cloudy training images, see
                :class:`~torchgeo_cloudseg.transforms.PastedClouds`; None for none.
            stack: Join optical and SAR image into ``image`` after scaling, for models with a single
                input, such as TorchGeo's own tasks.
            mend: Fill in what wrapped around, see
                :class:`~torchgeo_cloudseg.transforms.MendWrapped`.
            clear_only: Train on clear images only, as a teacher does.
            **kwargs: Additional keyword arguments passed to
                :class:`~torchgeo_cloudseg.datasets.OMBRIA`.

        Raises:
            ValueError: If an argument of the clouds is outside its range.
        """
        common = (batch_size, patch_size, length, num_workers, augment, seed)
        lists = (train_list, val_list, test_list)
        super().__init__(OMBRIA, *common, *lists, clouds=clouds, stack=stack)
        self.mend = MendWrapped() if mend else None
        self.clear_only = clear_only
        # not through the base class: so the command line knows the arguments of the dataset
        self.kwargs = kwargs

    def make_dataset(self, split: str) -> SceneDataset | ZonedDataset:
        """Places of a split.

        Args:
            split: 'train', 'val' or 'test'.

        Returns:
            the data set.
        """
        return OMBRIA.on_own_grids(split=split, file_list=self.lists[split], **self.kwargs)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Mend, scale and augment a batch on the device.

        Args:
            batch: a batch in stored units.
            dataloader_idx: index of the data loader.

        Returns:
            a batch with images in 0..1.
        """
        if self.mend is not None and 'image' in batch:
            batch = self.mend(batch)
        return super().on_after_batch_transfer(batch, dataloader_idx)
