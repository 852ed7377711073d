"""What teacher and student have in common: network, optimiser, metrics, evaluation."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

import matplotlib.pyplot as plt
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from .._compat import SemanticSegmentationTask
from .._random import step_seed
from ..datasets.grid import size_at
from ..inference import SceneSpec
from ..inference.network import slide_scenes
from ..inference.spec import spec_from_dict, spec_to_dict
from ..losses import SegmentationLoss
from ..metrics import REGIONS, RegionMetrics, SceneMetrics, SceneScores
from ..models import CloudSegNet, CloudSegOutput
from .facts import scene_spec
from .schedules import Schedule, lr_factor

Batch = dict[str, Any]

#: See :class:`~torchgeo_cloudseg.models.CloudSegNet`.
EncoderWeights = bool | str | tuple[bool | str | None, bool | str | None] | None


class CloudSegTask(SemanticSegmentationTask):
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

    # TorchGeo has no regions
    train_metrics: RegionMetrics  # type: ignore[assignment]
    val_metrics: RegionMetrics  # type: ignore[assignment]
    test_metrics: RegionMetrics  # type: ignore[assignment]

    #: Confusion matrices (K, K) of the last test by region, [label][prediction].
    test_confusion: dict[str, Tensor]

    #: Scores of every scene of the last test; empty where batches do not name their scenes.
    test_scenes: list[SceneScores]

    #: Number of validation batches of which a figure is logged.
    figures = 10

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
        """What the network expects of a scene: bands, ranges, classes and their colours."""
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
        kwargs = {key: self.hparams[key] for key in ('num_classes', 'ignore_index', 'labels')}
        self.train_metrics = RegionMetrics(**kwargs)
        self.val_metrics = RegionMetrics(**kwargs)
        self.test_metrics = RegionMetrics(**kwargs)
        self.scene_metrics = SceneMetrics(**kwargs)

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

    def forward(  # type: ignore[override]  # two images instead of one
        self, optical: Tensor, sar: Tensor, output_size: tuple[int, int] | None = None
    ) -> CloudSegOutput:
        """Forward pass of the model.

        Args:
            optical: optical image (B, C, H, W), 0..1.
            sar: SAR image (B, S, H, W), 0..1.
            output_size: height and width of the logits (defaults to those of the images).

        Returns:
            logits (B, K, h, w), features and, where the model has the branch, reconstruction.
        """
        output: CloudSegOutput = self.model(optical, sar, output_size=output_size)
        return output

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Optical and SAR image of a batch.

        Args:
            batch: a batch.

        Returns:
            optical (B, C, H, W) and SAR image (B, S, H, W).

        Raises:
            KeyError: if one is missing.
        """
        optical, sar = self._required(batch, self.hparams['image_key'], 'image_sar')
        return optical, sar

    def _required(self, batch: Batch, *keys: str) -> list[Tensor]:
        """Values of a batch, or an error that says how to get them."""
        missing = [key for key in keys if key not in batch]
        if missing:
            raise KeyError(
                f'{type(self).__name__} needs {missing} in a batch, which has {sorted(batch)}. '
                'Ask the dataset for them with `modalities=`, or set `image_key`.'
            )
        return [batch[key] for key in keys]

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

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Update the validation metrics and log the loss and some figures.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
            dataloader_idx: Index of the current dataloader.
        """
        mask = batch['mask']
        output = self(*self.inputs(batch), output_size=label_size(mask))
        self.val_metrics.update(output.logits, mask, cloud_mask(batch))
        loss = self.criterion(output.logits, mask)
        self.log('val_loss', loss, batch_size=len(mask), sync_dist=True)
        if batch_idx < self.figures:
            self._log_figure(batch, output, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        self._log_metrics('val', self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Slide over whole scenes and update the test metrics.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
            dataloader_idx: Index of the current dataloader.
        """
        reconstruct = self.model.config.reconstruct and 'image_clear' in batch
        self.update_test(batch, *self.slide_all(batch, label_size(batch['mask']), reconstruct))

    def update_test(self, batch: Batch, logits: Tensor, restored: Tensor | None = None) -> None:
        """Update the test metrics.

        Args:
            batch: a batch of scenes.
            logits: logits (B, K, h, w) on the label grid.
            restored: reconstructed cloud-free images (B, C, H, W), where there is a branch for it.
        """
        mask, clouds = batch['mask'], cloud_mask(batch)
        self.test_metrics.update(logits, mask, clouds)
        self.log('test_loss', self.criterion(logits, mask), batch_size=len(mask), sync_dist=True)
        if 'scene' in batch and 'epsg' in batch:
            self.scene_metrics.update(
                batch['scene'],
                batch['epsg'],
                logits,
                mask,
                clouds,
                None if restored is None else restored.clamp(0, 1),
                batch.get('image_clear'),
            )

    def on_test_epoch_end(self) -> None:
        """Log the test metrics, and keep for a report what a logger cannot hold."""
        self.test_confusion = {
            region: self.test_metrics.confusion_matrix(region).cpu() for region in REGIONS
        }
        self._log_metrics('test', self.test_metrics)
        self.test_scenes = self.scene_metrics.compute() if self.scene_metrics.update_count else []
        self.scene_metrics.reset()

    def predict_step(  # type: ignore[override]  # says where the scene lies, too
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor | None]:
        """Compute the class probabilities of whole scenes.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
            dataloader_idx: Index of the current dataloader.

        Returns:
            Dictionary with 'probabilities' (B, K, h, w), and 'bounds' and 'transform' as in the
            batch.
        """
        optical, _ = self.inputs(batch)
        scale = Fraction(str(self.hparams['label_scale']))
        height, width = (size_at(side, scale) for side in optical.shape[-2:])
        probabilities = self.slide(batch, (height, width)).softmax(dim=1)
        kept = {key: batch.get(key) for key in ('bounds', 'transform')}
        return {'probabilities': probabilities, **kept}

    def slide(self, batch: Batch, output_size: tuple[int, int]) -> Tensor:
        """Logits of whole scenes, put together from overlapping windows.

        Args:
            batch: a batch of scenes.
            output_size: height and width of the label grid.

        Returns:
            logits (B, K, h, w).
        """
        return self.slide_all(batch, output_size)[0]

    def slide_all(
        self, batch: Batch, output_size: tuple[int, int], reconstruct: bool = False
    ) -> tuple[Tensor, ...]:
        """Logits and reconstruction of whole scenes, from the same passes over their windows.

        Args:
            batch: a batch of scenes.
            output_size: height and width of the label grid.
            reconstruct: reconstruct the cloud-free image, too.

        Returns:
            logits (B, K, h, w) and, if asked for, cloud-free images (B, C, H, W).
        """
        return slide_scenes(
            self.model,
            *self.inputs(batch),
            output_size,
            window=self.hparams['window'],
            stride=self.hparams['stride'],
            label_scale=Fraction(str(self.hparams['label_scale'])),
            num_classes=self.hparams['num_classes'],
            reconstruct=reconstruct,
        )

    def _log_metrics(self, stage: str, metrics: RegionMetrics) -> None:
        """Log metrics under ``<stage>_<region>_<name>``, and mIoU of all pixels by its own name."""
        values = {f'{stage}_{name}': value for name, value in metrics.compute().items()}
        if f'{stage}_all_mIoU' in values:
            values[f'{stage}_mIoU'] = values[f'{stage}_all_mIoU']
        # torchmetrics has already summed over the processes
        self.log_dict(values)
        metrics.reset()

    def _log_figure(self, batch: Batch, output: CloudSegOutput, batch_idx: int) -> None:
        """Send a figure of the first sample of a batch to the logger."""
        datamodule = getattr(self.trainer, 'datamodule', None)
        writer = getattr(self.logger, 'experiment', None)
        plot, add_figure = getattr(datamodule, 'plot', None), getattr(writer, 'add_figure', None)
        if plot is None or add_figure is None:
            return
        sample = {key: value[0] for key, value in batch.items() if isinstance(value, Tensor)}
        sample['prediction'] = output.logits[0].argmax(dim=0)
        if output.reconstruction is not None:
            sample['reconstruction'] = output.reconstruction[0].float()
        figure = plot(sample)
        if figure is not None:
            add_figure(f'image/{batch_idx}', figure, global_step=self.global_step)
            plt.close(figure)


def label_size(mask: Tensor) -> tuple[int, int]:
    """Height and width of the label grid.

    Args:
        mask: labels (B, h, w).

    Returns:
        h and w.
    """
    return mask.shape[-2], mask.shape[-1]


def cloud_mask(batch: Batch) -> Tensor:
    """Cloud mask of a batch; all clear where the batch has none.

    Args:
        batch: a batch.

    Returns:
        mask (B, H, W), 1 cloud and 0 clear.
    """
    mask: Tensor = batch['mask']
    return batch['mask_cloud'] if 'mask_cloud' in batch else torch.zeros_like(mask)
