"""Data module of your own images."""

import logging
from pathlib import Path
from typing import Any

from ..datasets import SceneDataset, SceneFolder, ZonedDataset
from ..datasets.scene_folder.declaration import FolderDeclaration
from .scene_datamodule import SceneDataModule
from .sky import Clouds

logger = logging.getLogger(__name__)


class SceneFolderDataModule(SceneDataModule):
    """LightningDataModule for your own images, declared by arguments, see :class:`SceneFolder`.

    Clouds are those of the images (*image* with *mask_cloud* and, where there is one, a cloud-free
    *image_clear*), or synthetic ones (*clouds*). In training every patch gets new ones each time,
    in validation and testing the same place always has the same clouds.

    Training draws random patches. Where scenes are small, validation takes the center patch of
    every scene, testing and prediction the whole scene; where they are large (*test_size*), they
    are divided into tiles. Images are scaled to 0..1 on the device.
    """

    def __init__(
        self,
        batch_size: int = 8,
        patch_size: int | tuple[int, int] = 128,
        length: int | None = None,
        num_workers: int = 0,
        augment: bool = False,
        seed: int = 0,
        train_list: str | Path | None = None,
        val_list: str | Path | None = None,
        test_list: str | Path | None = None,
        test_batch_size: int | None = None,
        test_size: int | tuple[int, int] | None = None,
        clouds: Clouds = None,
        stack: bool = False,
        **kwargs: Any,
    ) -> None:
        """Initialize a new SceneFolderDataModule instance.

        Args:
            batch_size: Size of each mini-batch.
            patch_size: Size of each patch, either ``size`` or ``(height, width)``.
            length: Number of patches in each training epoch (defaults to those that fit into the
                scenes side by side).
            num_workers: Number of workers for parallel data loading.
            augment: Flip and turn training patches at random.
            seed: Seed of the training patches and of all clouds.
            train_list: Text file with the names of the training scenes (defaults to *division*).
            val_list: Text file with the names of the validation scenes.
            test_list: Text file with the names of the test scenes.
            test_batch_size: Scenes per mini-batch in test and prediction (defaults to a quarter
                of *batch_size*); 1 where scenes differ in size.
            test_size: Size of the largest tiles in test and prediction, which come in batches of
                one, either ``size`` or ``(height, width)`` (defaults to whole scenes).
            clouds: Preset of :class:`~torchgeo_cloudseg.transforms.SyntheticClouds`, or its
                arguments by name, to draw clouds on the optical image; None for none.
            stack: Join optical and SAR image into ``image`` after scaling, for models with a single
                input, such as TorchGeo's own tasks.
            **kwargs: Additional keyword arguments passed to
                :class:`~torchgeo_cloudseg.datasets.SceneFolder`.

        Raises:
            ValueError: If an argument of the clouds is outside its range, the declaration of the
                images contradicts itself, or *file_list* is given: every split has its own list.
        """
        if 'file_list' in kwargs:
            raise ValueError('Give `train_list`, `val_list` or `test_list` instead of `file_list`.')
        common = (batch_size, patch_size, length, num_workers, augment, seed)
        lists = (train_list, val_list, test_list)
        facts = FolderDeclaration.of_arguments(kwargs)
        tests = (test_batch_size, test_size)
        super().__init__(SceneFolder, *common, *lists, *tests, clouds, stack, facts)
        # not through the base class: so the command line knows the arguments of the dataset
        self.kwargs = kwargs

    def make_dataset(self, split: str) -> SceneDataset | ZonedDataset:
        """Scenes of a split, on their own grids unless a CRS is asked for.

        Args:
            split: 'train', 'val' or 'test'.

        Returns:
            the data set.
        """
        return SceneFolder.on_own_grids(split=split, file_list=self.lists[split], **self.kwargs)
