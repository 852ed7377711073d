"""What teacher and student have in common: network, optimizer, training, checkpoints."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, cast

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from .._compat import SemanticSegmentationTask
from .._random import step_seed
from ..datasets.scene_spec import SceneSpec, spec_from_dict, spec_to_dict
from ..losses import SegmentationLoss
from ..metrics import RegionMetrics
from ..models import CloudSegNet
from .batches import Batch, cloud_mask, label_size
from .evaluation import SceneEvaluationTask
from .facts import scene_spec
from .schedules import Schedule, lr_factor

#: See :class:`~torchgeo_cloudseg.models.CloudSegNet`.
EncoderWeights = bool | str | tuple[bool | str | None, bool | str | None] | None


class CloudSegTask(SceneEvaluationTask):
    """Abstract base of the CloudSeg tasks.

    A batch follows the package's sample contract: optical image under *image_key* (B, C, H, W),
    ``image_sar`` (B, S, H, W), both 0..1, ``mask`` (B, h, w) and, where there are clouds,
    ``mask_cloud`` (B, H, W). Metrics are computed for all, clear and cloudy pixels.

    Training and validation see patches of one size. In testing and prediction the network slides
    over whole scenes, with *window* and *stride*.
    """

    #: Performance metric to monitor in callbacks, and its direction.
    monitor = 'val_mIoU'
    mode = 'max'

    train_metrics: RegionMetrics  # type: ignore[assignment]  # TorchGeo has no regions

    def __init__(self, weights: EncoderWeights = None) -> None:
        """Initialize a new CloudSegTask instance.

        Args:
            weights: Initial encoder weights, not kept among the hyperparameters.
        """
        self.weights = weights
        self._seed = 0
        self._scene_spec: SceneSpec | None = None
        self._losses = self.losses
        # passes over SemanticSegmentationTask, which would build a network of its own
        super(SemanticSegmentationTask, self).__init__()

    @property
    def scene_spec(self) -> SceneSpec:
        """What the network expects of a scene: bands, ranges, classes and their colors."""
        if self._scene_spec is None:
            return scene_spec(self.hparams)
        return self._scene_spec

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the network expects of a scene, and which task this is.

        Args:
            checkpoint: what is saved.
        """
        # Lightning's command line wants the class with the arguments, and itself notes it only
        # where it has made the task
        name = f'{type(self).__module__}.{type(self).__qualname__}'
        checkpoint['hyper_parameters'].setdefault('_class_path', name)
        # nor must it fetch initial weights for a network whose own are in the checkpoint
        checkpoint['hyper_parameters'].setdefault('weights', None)
        checkpoint['scene_spec'] = spec_to_dict(self.scene_spec)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what the network expects of a scene.

        Args:
            checkpoint: what was saved.
        """
        if 'scene_spec' in checkpoint:
            self._scene_spec = spec_from_dict(checkpoint['scene_spec'])

    def on_fit_start(self) -> None:
        """Note the seed of the run and its data, and compile the step if asked to."""
        dataset = getattr(getattr(self.trainer, 'datamodule', None), 'train_dataset', None)
        self._scene_spec = scene_spec(self.hparams, dataset)
        self._seed = torch.initial_seed()
        if self.hparams['compile']:
            self._losses = torch.compile(self.losses, fullgraph=True)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step, so that drop path goes on in a resumed run as if it had not stopped.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
        """
        torch.manual_seed(step_seed(self._seed, self.current_epoch, batch_idx, self.global_rank))

    def build_model(self, spatial_gate: bool, reconstruct: bool) -> CloudSegNet:
        """Build the network that the hyperparameters describe.

        Args:
            spatial_gate: weigh optical features by a spatial gate in every fusion block.
            reconstruct: add the branch that reconstructs the cloud-free image.

        Returns:
            the network.
        """
        optical, sar = self.hparams['in_channels']
        return CloudSegNet(
            encoder=self.hparams['backbone'],
            in_channels=(optical, sar),
            num_classes=self.hparams['num_classes'],
            spatial_gate=spatial_gate,
            reconstruct=reconstruct,
            weights=self.weights or None,
            drop_path=self.hparams['drop_path'],
            activation_checkpointing=self.hparams['activation_checkpointing'],
            modalities=self.hparams['modalities'],
        )

    def configure_losses(self) -> None:
        """Initialize the segmentation criterion."""
        self.criterion = SegmentationLoss(
            loss=self.hparams['loss'],
            class_weights=self.hparams['class_weights'],
            ignore_index=self.hparams['ignore_index'],
            label_smoothing=self.hparams['label_smoothing'],
        )
        self.loss_weights = {'segmentation': 1.0}

    def configure_metrics(self) -> None:
        """Initialize the metrics by region."""
        super().configure_metrics()
        self.train_metrics = deepcopy(self.val_metrics)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Initialize the optimizer and learning rate scheduler.

        Returns:
            Adam with a schedule that changes the rate at epoch ends.
        """
        # torch's loop over 200 million parameters takes a CPU longer than the fused one; elsewhere
        # its own choice is fast
        fused = True if self.device.type == 'cpu' else None
        optimizer = Adam(self.model.parameters(), lr=self.hparams['lr'], fused=fused)
        max_epochs = self.trainer.max_epochs or 0

        def factor(epoch: int) -> float:
            return lr_factor(
                epoch,
                cast(Schedule, self.hparams['schedule']),
                max_epochs,
                self.hparams['warmup_epochs'],
            )

        return {'optimizer': optimizer, 'lr_scheduler': {'scheduler': LambdaLR(optimizer, factor)}}

    def losses(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits and losses of a training batch: all of a step that is worth compiling.

        Args:
            batch: what :meth:`training_tensors` gives.

        Returns:
            logits (B, K, h, w), and losses by name, not weighted.
        """
        mask = batch['mask']
        output = self(batch['image'], batch['image_sar'], output_size=label_size(mask))
        return output.logits, {'segmentation': self.criterion(output.logits, mask)}

    def training_tensors(self, batch: Batch) -> dict[str, Tensor]:
        """What the losses need of a batch.

        Args:
            batch: a batch.

        Returns:
            the network's images under ``image`` and ``image_sar``, ``mask`` and ``mask_cloud``.

        Raises:
            KeyError: if something is missing.
        """
        optical, sar = self.inputs(batch)
        (mask,) = self._required(batch, 'mask')
        return {'image': optical, 'image_sar': sar, 'mask': mask, 'mask_cloud': cloud_mask(batch)}

    def training_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Compute the weighted sum of the losses.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
            dataloader_idx: Index of the current dataloader.

        Returns:
            The loss tensor.
        """
        tensors = self.training_tensors(batch)
        logits, losses = self._losses(tensors)
        loss = torch.stack([self.loss_weights[name] * losses[name] for name in losses]).sum()
        self.train_metrics.update(logits.detach(), tensors['mask'], tensors['mask_cloud'])
        named = {f'train_{name}_loss': value.detach() for name, value in losses.items()}
        self.log_dict({'train_loss': loss.detach(), **named}, batch_size=len(logits))
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the training metrics of all pixels."""
        values = self.train_metrics.compute()
        shown = {name: values[f'all_{name}'] for name in ('OA', 'mIoU') if f'all_{name}' in values}
        self.log_dict({f'train_{name}': value for name, value in shown.items()})
        self.train_metrics.reset()
