"""What teacher and student have in common: network, optimizer, training, checkpoints."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal

import torch
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Adam

from .._compat import SemanticSegmentationTask
from .._random import step_seed
from ..inference.windows.plan import plan_windows
from ..losses import SegmentationLoss
from ..metrics import RegionMetrics
from ..models import Modalities
from .arguments import plain_value
from .checkpoint import build_network, scene_facts
from .evaluation import Batch, cloud_mask, label_size
from .resuming import ResumableTask
from .schedules import Schedule, ScheduledLR, by_steps

#: See :class:`~torchgeo_cloudseg.models.CloudSegNet`.
EncoderWeights = bool | str | tuple[bool | str | None, bool | str | None] | None


class CloudSegTask(ResumableTask):
    """Abstract base of the CloudSeg tasks.

    A batch follows the package's sample contract: optical image under *image_key* (B, C, H, W),
    ``image_sar`` (B, S, H, W), both 0..1, ``mask`` (B, h, w) and, where there are clouds,
    ``mask_cloud`` (B, H, W). Metrics are computed for all, clear and cloudy pixels.

    Training and validation see patches of one size. In testing and prediction the network slides
    over whole scenes, with *window* and *stride*.

    Example:
        >>> from torchgeo_cloudseg.trainers import CloudSegStudentTask
        >>> task = CloudSegStudentTask(backbone='mit_b0', in_channels=(13, 2), num_classes=7)
        >>> isinstance(task, CloudSegTask), task.model.config.in_channels
        (True, (13, 2))
    """

    #: Performance metric to monitor in callbacks, and its direction.
    monitor = 'val_mIoU'
    mode = 'max'

    #: Arguments that are not kept among the hyperparameters.
    ignore = ('weights', '_class_path')

    train_metrics: RegionMetrics  # type: ignore[assignment]  # TorchGeo has no regions

    def __init__(
        self,
        backbone: str | None = None,
        weights: EncoderWeights = None,
        in_channels: tuple[int, int] = (4, 2),
        num_classes: int = 6,
        labels: list[str] | None = None,
        loss: Literal['ce', 'bce', 'focal', 'dice'] = 'ce',
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
        freeze_backbone: bool = False,
        freeze_decoder: bool = False,
        layer_decay: float = 1.0,
        check_batches: Literal['first', 'all', 'none'] = 'first',
        compile: bool = False,  # noqa: A002  # the name that users know
        window: int = 160,
        stride: int = 80,
        label_scale: float | None = None,
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
            num_classes: Number of prediction classes; for two of them, 1 (a single score) or 2.
            labels: List of class names.
            loss: Name of the segmentation loss: 'ce', 'bce' (of two classes; the same), 'focal' or
                'dice'.
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
            freeze_backbone: Freeze encoders and fusion blocks, to train decoders and heads.
            freeze_decoder: Freeze the decoders, to train the heads (and the backbone).
            layer_decay: Factor of the learning rate from each stage of the encoders to the one
                before it; 1 for one rate.
            check_batches: Which batches are looked at for values that are NaN or outside 0..1 and
                for labels that are no classes: the 'first' of each stage, 'all' or 'none'.
            compile: Compile networks and losses into one graph when training starts.
            window: Side of the windows that slide over a whole scene, in pixels.
            stride: Distance between windows, in pixels.
            label_scale: Pixels of the label grid per optical pixel, for prediction (defaults to
                what the data state, or 0.3).
            image_key: Key of the optical image.
            _class_path: Class of the task, as older checkpoints name it; without effect.

        Raises:
            ValueError: If an argument is no plain value, nor can be made one.
        """
        self.weights = weights
        self._seed = 0
        self._losses = self.losses
        # passes over SemanticSegmentationTask, which would build a network of its own
        super(SemanticSegmentationTask, self).__init__()
        # what cannot be read again is refused now, not after the training
        self.hparams.update({k: plain_value(v, k) for k, v in self.hparams.items()})

    def on_fit_start(self) -> None:
        """Note the seed of the run and the facts of its data, and compile the step if asked to."""
        if (stated := self._stated()) is not None:
            try:
                self.scene_spec = scene_facts(self.hparams, stated)
            except ValueError as error:
                self.scene_spec = None
                rank_zero_warn(f'{error} Without facts, the checkpoint will not do for maps.')
        window = self.hparams['window']
        try:
            plan_windows((window, window), window, self.hparams['stride'], self.label_scale)
        except ValueError as error:
            rank_zero_warn(f'{error} Training does without, but tests and maps will not.')
        self._seed = torch.initial_seed()
        if self.hparams['compile']:
            self._losses = torch.compile(self.losses, fullgraph=True)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step, so that drop path goes on in a resumed run as if it had not stopped.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
        """
        self._check('training', batch, batch_idx)
        torch.manual_seed(step_seed(self._seed, self.current_epoch, batch_idx, self.global_rank))

    @property
    def backbone(self) -> nn.ModuleList:
        """Encoders and fusion blocks, for callbacks such as Lightning's BackboneFinetuning."""
        return nn.ModuleList(self.model.stages)

    def on_train_epoch_start(self) -> None:
        """Begin to count."""
        self._begin(self.train_metrics)

    def configure_models(self) -> None:
        """Initialize the model that the hyperparameters describe."""
        names = ('drop_path', 'modality_dropout', 'activation_checkpointing')
        trained = {name: self.hparams[name] for name in names}
        self.model = build_network(self.hparams, weights=self.weights or None, **trained)
        if self.hparams['freeze_backbone']:
            self.backbone.requires_grad_(False)
        if self.hparams['freeze_decoder']:
            self.model.decoders.requires_grad_(False)

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
        # (but Lightning does not clip for a fused one in mixed precision)
        mixed = isinstance(self.trainer.precision_plugin, MixedPrecision)
        clipped = mixed and bool(self.trainer.gradient_clip_val)
        fused = True if self.device.type == 'cpu' and not clipped else None
        optimizer = Adam(self.parameter_groups(), lr=self.hparams['lr'], fused=fused)
        steps = by_steps(self.hparams['schedule'], self.hparams['warmup_epochs'])
        interval = 'step' if steps else 'epoch'
        return {
            'optimizer': optimizer,
            'lr_scheduler': {'scheduler': ScheduledLR(optimizer), 'interval': interval},
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters that are trained, and their learning rates.

        Returns:
            groups for an optimizer: one, or with *layer_decay* one per stage and one for the rest.
        """
        rate, decay = self.hparams['lr'], self.hparams['layer_decay']
        stages = [] if decay == 1 else self.model.stages
        depths = {p: i for i, stage in enumerate(stages) for p in stage.parameters()}
        groups = [
            [p for p in self.model.parameters() if p.requires_grad and depths.get(p, -1) == i]
            for i in (-1, *range(len(stages)))
        ]
        rates = [rate] + [rate * decay ** (len(stages) - i) for i in range(len(stages))]
        return [{'params': ps, 'lr': lr} for ps, lr in zip(groups, rates, strict=True) if ps]

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
        clouds = cloud_mask(batch, optical)
        return {'image': optical, 'image_sar': sar, 'mask': mask.long(), 'mask_cloud': clouds}

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
