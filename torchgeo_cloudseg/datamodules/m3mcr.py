"""M3M-CR datamodule."""

from pathlib import Path
from typing import Any

from ..datasets import M3MCR, SceneDataset, ZonedDataset
from .scene_datamodule import SceneDataModule, refuse_file_list


class M3MCRDataModule(SceneDataModule):
    """LightningDataModule implementation for the M3M-CR dataset.

    Training draws random patches whose corners lie on the 30 m grid that the 3 m and the 10 m
    layers share; validation takes the center patch of every scene, testing and prediction the
    whole scene. Images are scaled to 0..1 on the device.

    Example:
        >>> datamodule = M3MCRDataModule(root=root, batch_size=2, patch_size=80, length=4)
        >>> datamodule.setup('fit')
        >>> tuple(next(iter(datamodule.train_dataloader()))['image'].shape)
        (2, 4, 80, 80)
    """

    def __init__(
        self,
        batch_size: int = 32,
        patch_size: int | tuple[int, int] = 160,
        length: int | None = None,
        num_workers: int = 0,
        augment: bool = False,
        seed: int = 0,
        train_list: str | Path | None = None,
        val_list: str | Path | None = None,
        test_list: str | Path | None = None,
        test_batch_size: int | None = None,
        stack: bool = False,
        **kwargs: Any,
    ) -> None:
        """Initialize a new M3MCRDataModule instance.

        Args:
            batch_size: Size of each mini-batch.
            patch_size: Size of each patch, either ``size`` or ``(height, width)``.
            length: Number of patches in each training epoch (defaults to one per scene).
            num_workers: Number of workers for parallel data loading.
            augment: Flip and turn training patches at random (the paper does not).
            seed: Seed of the training patches.
            train_list: CSV list of the training scenes.
            val_list: CSV list of the validation scenes (defaults to a share of the areas).
            test_list: CSV list of the test scenes.
            test_batch_size: Scenes per mini-batch in test and prediction (defaults to a quarter
                of *batch_size*, since a scene is several patches large).
            stack: Join optical and SAR image into ``image`` after scaling, for models with a single
                input, such as TorchGeo's own tasks.
            **kwargs: Additional keyword arguments passed to
                :class:`~torchgeo_cloudseg.datasets.M3MCR`.

        Raises:
            ValueError: If *file_list* is given: every split has a list of its own.
        """
        refuse_file_list(kwargs)
        common = (batch_size, patch_size, length, num_workers, augment, seed)
        lists = (train_list, val_list, test_list)
        super().__init__(M3MCR, *common, *lists, test_batch_size, stack=stack)
        # not through the base class: so the command line knows the arguments of the dataset
        self.kwargs = kwargs

    def make_dataset(self, split: str) -> SceneDataset | ZonedDataset:
        """Scenes of a split, on their own grids unless a CRS is asked for.

        Args:
            split: 'train', 'val' or 'test'.

        Returns:
            the data set.
        """
        return M3MCR.on_own_grids(split=split, file_list=self.lists[split], **self.kwargs)
