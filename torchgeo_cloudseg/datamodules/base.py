"""What the data modules of this package share: transfer, scaling, augmentation, plots."""

from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchgeo.datamodules import GeoDataModule
from torchgeo.datasets import GeoDataset

from .._random import step_seed
from ..samplers import SceneSampler
from ..transforms import Rescale, StackModalities
from .loader import SceneDataLoader

Batch = dict[str, Any]


class SceneDataModule(GeoDataModule):
    """Abstract base of data modules whose batches follow the package's sample contract.

    Metadata travels as tensors, images are scaled on the device, and every split has its own
    sampler, which shards itself over the processes.
    """

    # TorchGeo knows only samplers of its own kind
    train_sampler: SceneSampler | None  # type: ignore[assignment]
    val_sampler: SceneSampler | None  # type: ignore[assignment]
    test_sampler: SceneSampler | None  # type: ignore[assignment]
    predict_sampler: SceneSampler | None  # type: ignore[assignment]

    #: Seed of patches and augmentations.
    seed: int = 0

    #: Scaling of each image to 0..1.
    rescale: Rescale

    #: Join all images into ``image`` at the end, for models with a single input.
    stack: bool = False

    #: What happens to a batch on the device after scaling, by split.
    augmentations: dict[str, nn.Module]

    def _dataloader_factory(self, split: str) -> DataLoader[dict[str, Tensor]]:
        """One data loader per split, with that split's sampler.

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
        return SceneDataLoader(
            dataset=dataset,
            batch_size=batch_size,
            sampler=sampler,
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
        return int(progress.processed)

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
        return {
            key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for key, value in batch.items()
        }

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
        tensors = [value for value in batch.values() if isinstance(value, Tensor)]
        devices = {value.device for value in tensors if value.device.type == 'cuda'}
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
        for split in ('val', 'test', 'predict', 'train'):
            dataset = getattr(self, f'{split}_dataset', None)
            if dataset is not None:
                stored = self.rescale.inverse(sample, {'reconstruction': 'image_clear'})
                figure: Figure = dataset.plot(stored, *args, **kwargs)
                return figure
        return None
