"""M3M-CR datamodule."""

import logging
from pathlib import Path
from typing import Any, Literal

from torch import nn
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, GeoDataset

from ..datasets import M3MCR
from ..samplers import CenterSceneSampler, RandomSceneSampler
from ..transforms import RandomFlipRotate, Rescale, StackModalities
from .base import SceneDataModule

logger = logging.getLogger(__name__)


class M3MCRDataModule(SceneDataModule):
    """LightningDataModule implementation for the M3M-CR dataset.

    Training draws random patches whose corners lie on the 30 m grid that the 3 m and the 10 m
    layers share; validation takes the center patch of every scene, testing and prediction the
    whole scene. Images are scaled to 0..1 on the device.
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
        super().__init__(M3MCR, batch_size, patch_size, length, num_workers)
        if 'file_list' in kwargs:
            raise ValueError('Give `train_list`, `val_list` or `test_list` instead of `file_list`.')
        # not through the base class: so the command line knows the arguments of the dataset
        self.kwargs = kwargs
        self.seed = seed
        self.stack = stack
        self.lists = {'train': train_list, 'val': val_list, 'test': test_list}
        self.test_batch_size = test_batch_size or max(1, batch_size // 4)
        self.predict_batch_size = self.test_batch_size
        self.rescale = Rescale(M3MCR.ranges)
        self.augmentations: dict[str, nn.Module] = {'train': RandomFlipRotate()} if augment else {}

    def setup(self, stage: str) -> None:
        """Set up datasets and samplers.

        Args:
            stage: Either 'fit', 'validate', 'test', or 'predict'.

        Raises:
            ValueError: If images are stacked before they are scaled.
        """
        if isinstance(self.kwargs.get('transforms'), StackModalities):
            raise ValueError(
                'transforms=StackModalities() joins images before each is scaled in its own '
                'way. Give `stack=True` instead.'
            )
        if stage == 'fit':
            self.train_dataset = self._dataset('train')
            self.train_sampler = RandomSceneSampler(
                self.train_dataset, self.patch_size, self.length, seed=self.seed
            )
        if stage in ('fit', 'validate'):
            try:
                self.val_dataset = self._dataset('val')
                self.val_sampler = CenterSceneSampler(self.val_dataset, self.patch_size)
            except DatasetNotFoundError:
                if stage == 'validate':
                    raise
                logger.warning(
                    'There is no scene for validation: a single area cannot be divided. Training '
                    'goes on without; give `val_list`, or add areas.'
                )
        if stage == 'test':
            self.test_dataset = self._dataset('test')
            self.test_sampler = CenterSceneSampler(self.test_dataset)
        if stage == 'predict':
            self.predict_dataset = self._dataset('test')
            self.predict_sampler = CenterSceneSampler(self.predict_dataset)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Data loader of the validation patches; none where there is no scene to validate on."""
        if self.val_dataset is None:
            return []  # type: ignore[return-value]  # how Lightning is told that there is none
        return super().val_dataloader()

    def _dataset(self, split: Literal['train', 'val', 'test']) -> GeoDataset:
        """Scenes of a split: on their own grids, unless a CRS is asked for."""
        file_list = self.lists[split]
        if self.kwargs.get('crs') is None:
            return M3MCR.zoned(split=split, file_list=file_list, **self.kwargs)
        return M3MCR(split=split, file_list=file_list, **self.kwargs)
