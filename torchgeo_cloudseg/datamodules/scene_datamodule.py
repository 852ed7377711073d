"""Data module of any data set of scenes: splits, patches, scaling, clouds, augmentation."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.fabric.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchgeo.datamodules import GeoDataModule
from torchgeo.datasets import DatasetNotFoundError, GeoDataset

from .._random import step_seed
from ..datasets import SceneDataset, SceneSpec, ZonedDataset
from ..datasets.scene_declaration import SceneDeclaration
from ..datasets.validation import require_clouds
from ..samplers import CenterSceneSampler, RandomSceneSampler, SceneSampler, TileSceneSampler
from ..transforms import RandomFlipRotate, Rescale, StackModalities
from .loader import FixedPatches, SceneDataLoader
from .sky import Clouds, keep_clear, sky

Batch = dict[str, Any]

logger = logging.getLogger(__name__)


class SceneDataModule(GeoDataModule):
    """LightningDataModule for any data set of scenes.

    Training draws random patches whose corners lie on the grid that all layers share. Where scenes
    are small, validation takes the center patch of every scene, testing and prediction the whole
    scene. Where they are large (*test_size*), validation takes patches side by side, and testing
    and prediction divide every scene into tiles without overlap, so that each pixel counts once.

    Metadata travels as tensors, images are scaled to 0..1 on the device, and every split has its
    own sampler, which shards itself over the processes.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> datamodule = SceneDataModule(M3MCR, batch_size=2, patch_size=80, length=4, root=root)
        >>> datamodule.setup('fit')
        >>> len(datamodule.train_dataloader())
        2
    """

    #: Whether training leaves out images under clouds, where there are no cloud-free twins.
    clear_only = False

    #: Split of which testing and prediction see the whole scenes.
    whole_split = 'test'

    # TorchGeo knows only samplers of its own kind
    train_sampler: SceneSampler | None  # type: ignore[assignment]
    val_sampler: SceneSampler | None  # type: ignore[assignment]
    test_sampler: SceneSampler | None  # type: ignore[assignment]
    predict_sampler: SceneSampler | None  # type: ignore[assignment]

    def __init__(
        self,
        dataset: type[SceneDataset],
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
        test_size: int | tuple[int, int] | None = None,
        clouds: Clouds = None,
        stack: bool = False,
        facts: SceneDeclaration | None = None,
        **kwargs: Any,
    ) -> None:
        """Initialize a new SceneDataModule instance.

        Args:
            dataset: Class of the data set.
            batch_size: Size of each mini-batch.
            patch_size: Size of each patch, either ``size`` or ``(height, width)``.
            length: Number of patches in each training epoch (defaults to those that fit into the
                scenes side by side).
            num_workers: Number of workers for parallel data loading.
            augment: Flip and turn training patches at random.
            seed: Seed of the training patches and of all clouds.
            train_list: List of the training scenes (defaults to all of the split).
            val_list: List of the validation scenes.
            test_list: List of the test scenes.
            test_batch_size: Scenes per mini-batch in test and prediction (defaults to a quarter
                of *batch_size*, since a scene is several patches large).
            test_size: Size of the largest tiles in test and prediction, which come in batches of
                one, either ``size`` or ``(height, width)`` (defaults to whole scenes).
            clouds: Preset of :class:`~torchgeo_cloudseg.transforms.SyntheticClouds`, or its
                arguments by name, to draw clouds on the cloud-free image; None for none.
            stack: Join optical and SAR image into ``image`` after scaling, for models with a single
                input, such as TorchGeo's own tasks.
            facts: What the data set states (defaults to what its class states).
            **kwargs: Additional keyword arguments passed to *dataset*.

        Raises:
            ValueError: If an argument of the clouds is outside its range, or *file_list* is given:
                every split has a list of its own.
        """
        refuse_file_list(kwargs)
        super().__init__(dataset, batch_size, patch_size, length, num_workers)
        self.dataset_class: type[SceneDataset] = dataset
        self.kwargs = kwargs
        self.seed = seed
        self.clouds = clouds
        self.stack = stack
        self.test_size = test_size
        self.lists = {'train': train_list, 'val': val_list, 'test': test_list}
        tiles = test_size is not None
        self.test_batch_size = test_batch_size or (1 if tiles else max(1, batch_size // 4))
        self.predict_batch_size = self.test_batch_size
        #: Scaling of each image to 0..1; where clouds are drawn, they leave the clear image.
        stated = facts or dataset
        ranges = dict(stated.ranges)
        self.rescale = Rescale(
            {'image_clear': ranges['image'], **ranges} if 'image' in ranges else ranges
        )
        drawn, fixed = (sky(stated, source, clouds, seed) for source in ('random', 'bounds'))
        #: What happens to a batch on the device after scaling, by split.
        self.augmentations: dict[str, nn.Module] = {}
        steps = [step for step in (drawn, RandomFlipRotate() if augment else None) if step]
        if steps:
            self.augmentations['train'] = steps[0] if len(steps) == 1 else nn.Sequential(*steps)
        if fixed is not None:
            self.augmentations |= dict.fromkeys(('val', 'test', 'predict'), fixed)

    def make_dataset(self, split: str) -> SceneDataset | ZonedDataset:
        """Scenes of a split, on their own grids unless a CRS is asked for.

        Args:
            split: 'train', 'val' or 'test'.

        Returns:
            the data set.
        """
        return self.dataset_class.on_own_grids(
            split=split, file_list=self.lists[split], **self.kwargs
        )

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
            self.train_dataset = self.make_dataset('train')
            if self.clear_only:
                keep_clear(self.train_dataset)
            if self.clouds is None:
                require_clouds(self.train_dataset)
            self.train_sampler = RandomSceneSampler(
                self.train_dataset, self.patch_size, self.length, seed=self.seed
            )
        if stage in ('fit', 'validate'):
            try:
                self.val_dataset = self.make_dataset('val')
            except DatasetNotFoundError as error:
                if stage == 'validate':
                    raise
                logger.warning('%s Training goes on without validation.', error)
            else:
                if self.test_size is None:
                    self.val_sampler = CenterSceneSampler(self.val_dataset, self.patch_size)
                else:
                    self.val_sampler = TileSceneSampler(
                        self.val_dataset, self.patch_size, equal=True
                    )
        for split in ('test', 'predict'):
            if stage == split:
                dataset, size = self.make_dataset(self.whole_split), self.test_size
                sampler = TileSceneSampler(dataset, size) if size else CenterSceneSampler(dataset)
                setattr(self, f'{split}_dataset', dataset)
                setattr(self, f'{split}_sampler', sampler)

    @property
    def scene_spec(self) -> SceneSpec:
        """The facts that a network trained on these data, and its maps, need.

        Raises:
            MisconfigurationException: if no data set is set up.
        """
        dataset: Any = self._any_dataset()
        if dataset is None:
            raise MisconfigurationException('No data set is set up. Call `setup` first.')
        sides = self.patch_size if isinstance(self.patch_size, tuple) else (self.patch_size,)
        spec: SceneSpec = dataset.scene_spec(int(min(sides)))
        return spec

    def _any_dataset(self) -> GeoDataset | None:
        """The data set of a split that is set up."""
        datasets = (
            getattr(self, f'{s}_dataset', None) for s in ('val', 'test', 'predict', 'train')
        )
        return next((dataset for dataset in datasets if dataset is not None), None)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Data loader of the validation patches; none where there is no scene to validate on."""
        if self.val_dataset is None:
            return []  # type: ignore[return-value]  # how Lightning is told that there is none
        return super().val_dataloader()

    def _dataloader_factory(self, split: str) -> DataLoader[dict[str, Tensor]]:
        """One data loader per split, with that split's sampler.

        Returns:
            the data loader.

        Raises:
            MisconfigurationException: if there is no dataset or sampler, or nothing to sample.
        """
        dataset: GeoDataset = self._valid_attribute(f'{split}_dataset', 'dataset')
        sampler: SceneSampler = self._valid_attribute(f'{split}_sampler', 'sampler')
        batch_size: int = self._valid_attribute(f'{split}_batch_size', 'batch_size')
        training = split == 'train'
        if training and len(sampler) < batch_size:
            raise MisconfigurationException(
                f'An epoch has {len(sampler)} training patches per process, fewer than '
                f'batch_size={batch_size}. Set a larger `length` or a smaller `batch_size`.'
            )
        patches, processes = sampler.epoch_length(), sampler.num_replicas
        if patches < processes:
            # said by all of them: if one alone stops, the others wait for it
            raise MisconfigurationException(
                f'{patches} patches of the {split} split cannot be shared by {processes} '
                'processes. Use fewer devices.'
            )
        overfit = getattr(self.trainer, 'overfit_batches', 0) > 0
        return SceneDataLoader(
            dataset=dataset,
            batch_size=batch_size,
            # the same patches in every epoch are what is overfitted to
            sampler=FixedPatches(sampler) if overfit else sampler,
            position=self._position,
            num_workers=self.num_workers,
            # a last batch of one patch would spoil the batch norms
            drop_last=training,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _position(self) -> int:
        """Number of batches of the current epoch that the training has used."""
        if self.trainer is None:
            return 0
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        used = int(progress.processed)
        # after its last batch, which a limit may set, an epoch is over: the next one is whole
        return used if used < self.trainer.num_training_batches else 0

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move all tensors of a batch to a device; other values stay as they are.

        Args:
            batch: a batch of data.
            device: the target device.
            dataloader_idx: index of the data loader.

        Returns:
            a new batch on the device.
        """
        # the base class of TorchGeo 0.8 deletes 'crs' and 'bounds', and fails without them
        moved: Batch = move_data_to_device(batch, device)
        return moved

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Scale and augment a batch on the device.

        Args:
            batch: a batch in stored units.
            dataloader_idx: index of the data loader.

        Returns:
            a batch with images in 0..1.
        """
        batch = self._augment(self.rescale(batch))
        return StackModalities()(batch) if self.stack else batch

    def _augment(self, batch: Batch) -> Batch:
        """Augment a batch as the current split wants it."""
        augmentation = self.augmentations.get(self._current_split())
        if augmentation is None:
            return batch
        trainer = self.trainer
        if trainer is None:  # used without Lightning: torch's own random numbers
            plain: Batch = augmentation(batch)
            return plain
        # the same in every run, another in every step
        seed = step_seed(self.seed, trainer.current_epoch, self._position(), trainer.global_rank)
        devices = {v.device for v in batch.values() if isinstance(v, Tensor) and v.is_cuda}
        with torch.random.fork_rng(list(devices)):
            torch.manual_seed(seed)
            augmented: Batch = augmentation(batch)
        return augmented

    def _current_split(self) -> str:
        """The split that the trainer is working on."""
        trainer = self.trainer
        if trainer is None or trainer.training:
            return 'train'
        if trainer.validating or trainer.sanity_checking:
            return 'val'
        return 'test' if trainer.testing else 'predict'

    def plot(self, sample: Batch, *args: Any, **kwargs: Any) -> Figure | None:
        """Plot a scaled sample with the plot method of the dataset in use.

        Args:
            sample: one sample of a batch, images in 0..1.
            *args: arguments passed to the plot method.
            **kwargs: keyword arguments passed to the plot method.

        Returns:
            a matplotlib Figure, or None where no dataset is set up.
        """
        dataset: Any = self._any_dataset()
        if dataset is None:
            return None
        stored = self.rescale.inverse(sample, {'reconstruction': 'image_clear'})
        figure: Figure = dataset.plot(stored, *args, **kwargs)
        return figure


def refuse_file_list(arguments: Mapping[str, Any]) -> None:
    """Refuse a list for all splits.

    Args:
        arguments: those of a data set.

    Raises:
        ValueError: if *file_list* is among them.
    """
    if 'file_list' in arguments:
        raise ValueError('Give `train_list`, `val_list` or `test_list` instead of `file_list`.')
