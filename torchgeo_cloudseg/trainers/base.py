"""What teacher and student have in common: network, optimizer, training, checkpoints."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Adam

from .._compat import SemanticSegmentationTask
from .._random import step_seed
from ..datasets.scene_spec import SceneSpec, spec_from_dict, spec_to_dict
from ..losses import SegmentationLoss
from ..metrics import RegionMetrics
from ..models import Modalities
from .arguments import (
    changes,
    contradictions,
    defaults,
    keep_arguments,
    plain_value,
    refuse_contradictions,
    task_arguments,
)
from .checkpoint import SCENE_SPEC, build_network, scene_facts
from .checkpoint_io import SafeCheckpointIO, require_writable
from .evaluation import Batch, SceneEvaluationTask, cloud_mask, label_size
from .schedules import Schedule, ScheduledLR, by_steps, schedule_of

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

    #: Arguments that are not kept among the hyperparameters.
    ignore = ('weights', '_class_path')

    train_metrics: RegionMetrics  # type: ignore[assignment]  # TorchGeo has no regions

    #: What the network expects of a scene: bands, ranges, classes and their colors. Stated by the
    #: data module when training starts, or by whoever sets it; None where nobody has.
    scene_spec: SceneSpec | None

    def __init__(
        self,
        backbone: str | None = None,
        weights: EncoderWeights = None,
        in_channels: tuple[int, int] = (4, 2),
        num_classes: int = 6,
        labels: list[str] | None = None,
        loss: Literal['ce', 'focal', 'dice'] = 'ce',
        class_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
        label_smoothing: float = 0.0,
        fusion: str = 'cloudseg',
        modalities: Modalities = 'both',
        architecture: str = 'cloudseg',
        lr: float = 1e-4,
        schedule: Schedule = 'step',
        warmup_epochs: float = 0,
        drop_path: float = 0.1,
        modality_dropout: tuple[float, float] = (0.0, 0.0),
        activation_checkpointing: bool = False,
        compile: bool = False,  # noqa: A002  # the name that users know
        window: int = 160,
        stride: int = 80,
        label_scale: float = 0.3,
        image_key: str = 'image',
        _class_path: str | None = None,
    ) -> None:
        """Initialize a new CloudSegTask instance.

        Args:
            backbone: Name of the encoder, such as 'mit_b0' to 'mit_b5' (defaults to that of the
                architecture: 'mit_b4', or 'mobilenetv4_conv_small' of 'lite').
            weights: Initial encoder weights: True for ImageNet weights, the name of TorchGeo
                weights, a path to a local file, False or None for random weights. Of a pair, the
                second are for the SAR encoder.
            in_channels: Number of optical and SAR bands.
            num_classes: Number of prediction classes.
            labels: List of class names.
            loss: Name of the segmentation loss: 'ce', 'focal' or 'dice'.
            class_weights: Optional rescaling weight given to each class.
            ignore_index: Label of pixels left out of the loss and the metrics.
            label_smoothing: Share of each label spread over all classes, 0 to 1.
            fusion: Name of the fusion block, or where it is defined ('my_package.my_module.Block').
            modalities: 'both', or a single encoder for comparison: 'optical', 'sar' (without
                reconstruction) or 'early' (both images stacked).
            architecture: 'cloudseg', or 'lite' for a network of a twentieth of its size; or where
                one is defined ('my_package.my_module.Net').
            lr: Learning rate for optimizer.
            schedule: 'step' (halved at epochs 10, 15, 20, ...), 'cosine' (from step to step, to 0
                at the end of the training) or 'constant'.
            warmup_epochs: Epochs in which the learning rate rises linearly, from step to step.
            drop_path: Probability that the encoders' last block is left out in training (the first
                is always kept, those in between lie in between).
            modality_dropout: Probabilities with which the optical, and the SAR image of a training
                sample is left out, so that the network does with one of them, too.
            activation_checkpointing: Compute the encoders' activations anew in the backward pass,
                which saves most of the memory of a step and costs some time.
            compile: Compile networks and losses into one graph when training starts.
            window: Side of the windows that slide over a whole scene, in pixels.
            stride: Distance between windows, in pixels.
            label_scale: Pixels of the label grid per optical pixel, for prediction.
            image_key: Key of the optical image.
            _class_path: Class of the task, as older checkpoints name it; without effect.

        Raises:
            ValueError: If an argument is no plain value, nor can be made one.
        """
        self.weights = weights
        self.scene_spec = None
        self._seed = 0
        self._losses = self.losses
        # passes over SemanticSegmentationTask, which would build a network of its own
        super(SemanticSegmentationTask, self).__init__()
        # what cannot be read again is refused now, not after the training
        self.hparams.update({k: plain_value(v, k) for k, v in self.hparams.items()})

    def setup(self, stage: str) -> None:
        """Have checkpoints written complete or not at all, and read without running code.

        Args:
            stage: Either 'fit', 'validate', 'test', or 'predict'.

        Raises:
            OSError: If a training could not write its checkpoints.
        """
        if (trainer := self._trainer) is None:
            return
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = SafeCheckpointIO()
        if stage == 'fit' and trainer.is_global_zero:
            for callback in trainer.checkpoint_callbacks:
                if folder := getattr(callback, 'dirpath', None):
                    require_writable(folder)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the arguments, and what the network expects of a scene.

        Args:
            checkpoint: what is saved.
        """
        keep_arguments(checkpoint, self.hparams)
        if self.scene_spec is not None:
            checkpoint[SCENE_SPEC] = spec_to_dict(self.scene_spec)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the network's architecture, and what it expects of a scene.

        What belongs to the run (learning rate, schedule, teacher, window, ...) is this task's.

        Args:
            checkpoint: what was saved.

        Raises:
            ValueError: If the task was made for another network.
        """
        if SCENE_SPEC in checkpoint:
            self.scene_spec = spec_from_dict(checkpoint[SCENE_SPEC])
        stored = task_arguments(checkpoint)
        if not stored:
            return
        self._take_architecture(stored)
        if changed := changes(self.hparams, stored):
            rank_zero_info(f'Other arguments than in the checkpoint: {changed}.')
        # the rates of this run, at the step of the other
        steps = by_steps(self.hparams['schedule'], self.hparams['warmup_epochs'])
        for state in checkpoint.get('lr_schedulers', ()):
            if 'lr_lambdas' in state:
                at = checkpoint['global_step'] if steps else checkpoint['epoch']
                state['last_epoch'] = at if steps else min(at, state['last_epoch'])

    def _take_architecture(self, stored: Mapping[str, Any]) -> None:
        """Make the network that a checkpoint holds, where none was asked for."""
        differing = contradictions(self.hparams, stored)
        usual = defaults(type(self))
        mine, theirs = self.hparams.keys(), stored.keys()
        free = all(n in mine & theirs and self.hparams[n] == usual[n] for n in differing)
        trainer = self._trainer
        sharded = trainer is not None and trainer.strategy.restore_checkpoint_after_setup
        if sharded or not free:
            refuse_contradictions(self.hparams, stored, 'checkpoint')
        if differing:
            self.weights = None
            self.hparams.update({name: stored[name] for name in differing})
            self.configure_models()
            self.configure_losses()
            self.configure_metrics()

    def on_fit_start(self) -> None:
        """Note the seed of the run and the facts of its data, and compile the step if asked to."""
        stated = getattr(getattr(self.trainer, 'datamodule', None), 'scene_spec', None)
        if stated is not None:
            try:
                self.scene_spec = scene_facts(self.hparams, stated)
            except ValueError as error:
                self.scene_spec = None
                rank_zero_warn(f'{error} Without facts, the checkpoint will not do for maps.')
        self._seed = torch.initial_seed()
        if self.hparams['compile']:
            self._losses = torch.compile(self.losses, fullgraph=True)

    def on_train_start(self) -> None:
        """Begin with this run's learning rates: a checkpoint brings those of the run before.

        Raises:
            MisconfigurationException: If the schedule needs an end that the training has not.
        """
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ScheduledLR):
                arguments = self.hparams['schedule'], self.hparams['warmup_epochs']
                config.scheduler.begin(schedule_of(self.trainer, *arguments))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step, so that drop path goes on in a resumed run as if it had not stopped.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
        """
        torch.manual_seed(step_seed(self._seed, self.current_epoch, batch_idx, self.global_rank))

    def configure_models(self) -> None:
        """Initialize the model that the hyperparameters describe."""
        names = ('drop_path', 'modality_dropout', 'activation_checkpointing')
        trained = {name: self.hparams[name] for name in names}
        self.model = build_network(self.hparams, weights=self.weights or None, **trained)

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
            Adam with a schedule that changes the rate from step to step, or at epoch ends.
        """
        # torch's loop over 200 million parameters takes a CPU longer than the fused one; elsewhere
        # its own choice is fast
        fused = True if self.device.type == 'cpu' else None
        optimizer = Adam(self.model.parameters(), lr=self.hparams['lr'], fused=fused)
        steps = by_steps(self.hparams['schedule'], self.hparams['warmup_epochs'])
        interval = 'step' if steps else 'epoch'
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': ScheduledLR(optimizer), 'interval': interval},
        }

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
        shown = [name for name in ('OA', 'mIoU') if f'all_{name}' in values]
        self.log_dict({f'train_{name}': values[f'all_{name}'] for name in shown})
        self.train_metrics.reset()
