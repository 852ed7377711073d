"""What a task does with a network that is there: validation, tests and maps of scenes."""

from fractions import Fraction
from typing import Any

import matplotlib.pyplot as plt
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchmetrics import Metric

from .._compat import SemanticSegmentationTask
from ..datasets.scene_spec import SceneSpec
from ..inference.windows.network import slide_scenes
from ..metrics import (
    REGIONS,
    CalibrationMetrics,
    ReconstructionMetrics,
    RegionMetrics,
    SceneMetrics,
    SceneScores,
)
from ..models import CloudSegOutput
from ..models.calibration import OPACITY_EDGES
from ..rasters import size_at
from .batch_check import check_batch

#: Images, masks and metadata under the package's sample contract.
Batch = dict[str, Any]

#: What drawing or logging a figure raises: anybody's method draws, and anybody's logger writes.
UNDRAWN = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


def label_size(mask: Tensor) -> tuple[int, int]:
    """Height and width of the label grid.

    Args:
        mask: labels (B, h, w).

    Returns:
        h and w.
    """
    return mask.shape[-2], mask.shape[-1]


def cloud_mask(batch: Batch, image: Tensor) -> Tensor:
    """Cloud mask of a batch; all clear where the batch has none.

    Args:
        batch: a batch.
        image: its optical image (B, C, H, W).

    Returns:
        mask (B, H, W), 1 cloud and 0 clear.
    """
    if 'mask_cloud' in batch:
        mask: Tensor = batch['mask_cloud']
        return mask
    return image.new_zeros((len(image), *image.shape[-2:]), dtype=torch.long)


class SceneEvaluationTask(SemanticSegmentationTask):
    """Abstract base of tasks that are judged by region and scene.

    Validation sees patches of one size. In testing and prediction the network slides over whole
    scenes, with *window* and *stride*.
    """

    val_metrics: RegionMetrics  # type: ignore[assignment]  # TorchGeo has no regions
    test_metrics: RegionMetrics  # type: ignore[assignment]  # likewise

    test_calibration: CalibrationMetrics

    #: Sums over the pixels of the last test, see :meth:`~.metrics.CalibrationMetrics.totals`.
    test_reliability: Tensor

    #: Confusion matrices (K, K) of the last test by region, [label][prediction].
    test_confusion: dict[str, Tensor]

    #: Scores of every scene of the last test; empty where batches do not name their scenes.
    test_scenes: list[SceneScores]

    #: What the network expects of a scene: bands, ranges, classes and their colors. Stated by the
    #: data module when training starts, or by whoever sets it; None where nobody has.
    scene_spec: SceneSpec | None = None

    #: Number of validation batches of which a figure is logged.
    figures = 10

    def configure_metrics(self) -> None:
        """Initialize the metrics by region, of the segmentation and of the reconstruction."""
        kwargs = {key: self.hparams[key] for key in ('ignore_index', 'labels')}
        # a single score is that of class 1 against class 0
        kwargs['num_classes'] = max(2, self.hparams['num_classes'])
        self.val_metrics = RegionMetrics(**kwargs)
        self.test_metrics = RegionMetrics(**kwargs)
        self.test_reconstruction = ReconstructionMetrics()
        self.scene_metrics = SceneMetrics(**kwargs)

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

    @property
    def looks_at(self) -> tuple[str, ...]:
        """Which images matter to the task: 'optical', 'sar' or both."""
        found: tuple[str, ...] = self.model.looks_at
        return found

    def inputs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Optical and SAR image of a batch.

        Args:
            batch: a batch.

        Returns:
            optical (B, C, H, W) and SAR image (B, S, H, W); zeros where a network that does not
            look at one gets none.

        Raises:
            KeyError: if one is missing.
        """
        keys = {'optical': self.hparams['image_key'], 'sar': 'image_sar'}
        seen = self._required(batch, *(keys[name] for name in self.looks_at))
        count, _, *sides = seen[0].shape
        channels = zip(keys.values(), self.hparams['in_channels'], strict=True)
        blank = seen[0].new_zeros(())
        optical, sar = (
            batch[key] if key in batch else blank.expand(count, width, *sides)
            for key, width in channels
        )
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

    def on_validation_batch_start(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Refuse a batch that cannot be judged by.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
            dataloader_idx: Index of the current dataloader.
        """
        self._check('validation', batch, batch_idx)

    def on_test_batch_start(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Refuse a batch that cannot be judged by.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
            dataloader_idx: Index of the current dataloader.
        """
        self._check('test', batch, batch_idx)

    def _check(self, stage: str, batch: Batch, batch_idx: int) -> None:
        """Refuse a batch that is not what the task expects."""
        wanted = self.hparams['check_batches']
        if wanted == 'none' or (wanted == 'first' and batch_idx):
            return
        keys = {'optical': [self.hparams['image_key'], 'image_clear'], 'sar': ['image_sar']}
        check_batch(
            batch,
            f'{stage} batch {batch_idx}',
            [key for name in self.looks_at for key in keys[name]],
            max(2, self.hparams['num_classes']),
            self.hparams['ignore_index'],
            float(self.label_scale),
        )

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Update the validation metrics and log the loss and some figures.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
            dataloader_idx: Index of the current dataloader.
        """
        images, mask = self.inputs(batch), batch['mask'].long()
        output = self(*images, output_size=label_size(mask))
        self.val_metrics.update(output.logits, mask, cloud_mask(batch, images[0]))
        loss = self.criterion(output.logits, mask)
        self.log('val_loss', loss, batch_size=len(mask), sync_dist=True)
        if batch_idx < self.figures and not self.trainer.sanity_checking:
            self._log_figure(batch, output, batch_idx)

    def on_validation_epoch_start(self) -> None:
        """Begin to count: what an interrupted validation has counted is gone."""
        self._begin(self.val_metrics)

    def on_test_epoch_start(self) -> None:
        """Begin to count: what an interrupted test has counted is gone."""
        self._begin(self.test_metrics, self.test_reconstruction, self.scene_metrics)
        usual = OPACITY_EDGES if self.model.tells_opacity else ()
        self.test_calibration = CalibrationMetrics(
            self.test_metrics.num_classes,
            self.hparams['ignore_index'],
            self.model.calibration.edges or usual,
        ).to(self.device)

    def _begin(self, *metrics: Metric) -> None:
        """Start metrics anew, with the names of the classes."""
        spec = self._stated() or self.scene_spec
        names = self.hparams['labels'] or ([] if spec is None else [*spec.class_names])
        for metric in metrics:
            metric.reset()
            if len(set(names)) == getattr(metric, 'num_classes', None):
                metric.labels = names

    def _stated(self) -> SceneSpec | None:
        """The facts that the data module states, if there is one that does."""
        spec: SceneSpec | None = getattr(
            getattr(self._trainer, 'datamodule', None), 'scene_spec', None
        )
        return spec

    @property
    def label_scale(self) -> Fraction:
        """Pixels of the label grid per optical pixel: as given, else as the data state it."""
        if (given := self.hparams['label_scale']) is not None:
            return Fraction(str(given))
        spec = self.scene_spec or self._stated()
        return SceneSpec.label_scale if spec is None else spec.label_scale

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        self._log_metrics('val', self.val_metrics)

    def test_step(  # type: ignore[override]  # tells callbacks what the network says
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor | None]:
        """Slide over whole scenes and update the test metrics.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
            dataloader_idx: Index of the current dataloader.

        Returns:
            Dictionary with 'logits' (B, K, h, w), and 'opacity' (B, 1, h, w) as the network tells
            it, or None.
        """
        mask, clouds = batch['mask'].long(), cloud_mask(batch, self.inputs(batch)[0])
        reconstruct = self.model.config.reconstruct and 'image_clear' in batch
        logits, *restored = self.slide_all(
            batch, label_size(mask), reconstruct, self.model.tells_opacity
        )
        opacity = restored.pop(0) if self.model.tells_opacity else None
        self.test_metrics.update(logits, mask, clouds)
        known = self.model.calibration
        probabilities = known.probabilities(logits, opacity)
        sets = known.sets(probabilities, opacity) if known.thresholds else None
        self.test_calibration.update(probabilities, mask, clouds, opacity, sets, batch.get('scene'))
        self.log('test_loss', self.criterion(logits, mask), batch_size=len(mask), sync_dist=True)
        images = (restored[0].clamp(0, 1), batch['image_clear']) if restored else ()
        if images:
            self.test_reconstruction.update(*images, clouds)
        if 'scene' in batch and 'epsg' in batch:
            places = batch['scene'], batch['epsg']
            self.scene_metrics.update(*places, logits, mask, clouds, *images)
        return {'logits': logits, 'opacity': opacity}

    def on_test_epoch_end(self) -> None:
        """Log the test metrics, and keep for a report what a logger cannot hold."""
        self.test_confusion = {
            region: self.test_metrics.confusion_matrix(region).cpu() for region in REGIONS
        }
        self._log_metrics('test', self.test_metrics)
        self.test_reliability = self.test_calibration.totals()
        self._log_metrics('test', self.test_calibration)
        if self.test_reconstruction.update_count:
            self._log_metrics('test', self.test_reconstruction)
        self.test_scenes = self.scene_metrics.compute() if self.scene_metrics.update_count else []
        self.scene_metrics.reset()

    def predict_step(  # type: ignore[override]  # says where the scene lies, too
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor | None]:
        """Compute the class probabilities of whole scenes, as the network is calibrated.

        Args:
            batch: The output of your DataLoader.
            batch_idx: Integer displaying index of this batch.
            dataloader_idx: Index of the current dataloader.

        Returns:
            Dictionary with 'probabilities' (B, K, h, w), and 'bounds' and 'transform' as in the
            batch.
        """
        optical, _ = self.inputs(batch)
        height, width = (size_at(side, self.label_scale) for side in optical.shape[-2:])
        seen = bool(self.model.calibration.edges)
        outputs = self.slide_all(batch, (height, width), opacity=seen)
        probabilities = self.model.calibration.probabilities(*outputs)
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
        self,
        batch: Batch,
        output_size: tuple[int, int],
        reconstruct: bool = False,
        opacity: bool = False,
    ) -> tuple[Tensor, ...]:
        """All that is asked of whole scenes, from the same passes over their windows.

        Args:
            batch: a batch of scenes.
            output_size: height and width of the label grid.
            reconstruct: reconstruct the cloud-free image, too.
            opacity: tell the opacity of the clouds, too.

        Returns:
            logits (B, K, h, w) and, if asked for, opacity (B, 1, h, w) and cloud-free images
            (B, C, H, W).
        """
        return slide_scenes(
            self.model,
            *self.inputs(batch),
            output_size,
            window=self.hparams['window'],
            stride=self.hparams['stride'],
            label_scale=self.label_scale,
            num_classes=max(2, self.hparams['num_classes']),
            reconstruct=reconstruct,
            opacity=opacity,
        )

    def _log_metrics(
        self, stage: str, metrics: RegionMetrics | ReconstructionMetrics | CalibrationMetrics
    ) -> None:
        """Log metrics under ``<stage>_<region>_<name>``, and mIoU of all pixels by its own name."""
        values = {f'{stage}_{name}': value for name, value in metrics.compute().items()}
        if f'{stage}_all_mIoU' in values:
            values[f'{stage}_mIoU'] = values[f'{stage}_all_mIoU']
        # torchmetrics has already summed over the processes
        self.log_dict(values)
        metrics.reset()

    def _log_figure(self, batch: Batch, output: CloudSegOutput, batch_idx: int) -> None:
        """Send a figure of the first sample of a batch to the loggers that take figures."""
        plot = getattr(getattr(self.trainer, 'datamodule', None), 'plot', None)
        writers: list[Any] = [getattr(logger, 'experiment', None) for logger in self.loggers]
        writers = [writer for writer in writers if hasattr(writer, 'add_figure')]
        if plot is None or not writers:
            return
        sample = {k: v[0].detach().cpu() for k, v in batch.items() if isinstance(v, Tensor)}
        sample['prediction'] = output.logits[0].argmax(dim=0).cpu()
        if output.reconstruction is not None:
            sample['reconstruction'] = output.reconstruction[0].float().cpu()
        try:
            if (figure := plot(sample)) is not None:
                for writer in writers:
                    writer.add_figure(f'image/{batch_idx}', figure, self.global_step, close=False)
                plt.close(figure)
        # no figure is worth a training
        except UNDRAWN as error:
            self.figures = 0
            rank_zero_warn(f'No more figures are logged: {type(error).__name__}: {error}')
