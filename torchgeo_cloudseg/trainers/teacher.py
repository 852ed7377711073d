"""Teacher: segmentation of cloud-free optical and SAR images."""

from collections.abc import Sequence
from typing import Literal

from ..models import Modalities
from .base import CloudSegTask, EncoderWeights
from .schedules import Schedule


class CloudSegTeacherTask(CloudSegTask):
    """Pretraining of the teacher on cloud-free images.

    The network has neither spatial gates nor a reconstruction branch (Xu et al. 2024). Loss:
    cross-entropy.
    """

    def __init__(
        self,
        backbone: str = 'mit_b4',
        weights: EncoderWeights = None,
        in_channels: tuple[int, int] = (4, 2),
        num_classes: int = 6,
        labels: list[str] | None = None,
        loss: Literal['ce', 'focal', 'dice'] = 'ce',
        class_weights: Sequence[float] | None = None,
        ignore_index: int = 255,
        label_smoothing: float = 0.0,
        modalities: Modalities = 'both',
        lr: float = 1e-4,
        schedule: Schedule = 'step',
        warmup_epochs: int = 0,
        drop_path: float = 0.1,
        activation_checkpointing: bool = False,
        compile: bool = False,  # noqa: A002  # the name that users know
        window: int = 160,
        stride: int = 80,
        label_scale: float = 0.3,
        image_key: str = 'image_clear',
    ) -> None:
        """Initialize a new CloudSegTeacherTask instance.

        Args:
            backbone: Name of the encoder, such as 'mit_b0' to 'mit_b5'.
            weights: Initial encoder weights: True for ImageNet weights, the name of TorchGeo
                weights, a path to a local file, False or None for random weights. Of a pair, the
                second are for the SAR encoder.
            in_channels: Number of optical and SAR bands.
            num_classes: Number of prediction classes.
            labels: List of class names.
            loss: Name of the loss function: 'ce', 'focal' or 'dice'.
            class_weights: Optional rescaling weight given to each class.
            ignore_index: Label of pixels left out of the loss and the metrics.
            label_smoothing: Share of each label spread over all classes, 0 to 1.
            modalities: 'both', or a single encoder for comparison: 'optical', 'sar' or 'early'
                (both images stacked).
            lr: Learning rate for optimizer.
            schedule: 'step' (halved at epochs 10, 15, 20, ...), 'cosine' or 'constant'.
            warmup_epochs: Epochs in which the learning rate rises linearly.
            drop_path: Probability that the encoders' last block is left out in training (the first
                is always kept, those in between lie in between).
            activation_checkpointing: Compute the encoders' activations anew in the backward pass,
                which saves most of the memory of a step and costs some time.
            compile: Compile networks and losses into one graph when training starts.
            window: Side of the windows that slide over a whole scene, in pixels.
            stride: Distance between windows, in pixels.
            label_scale: Pixels of the label grid per optical pixel, for prediction.
            image_key: Key of the optical image: 'image_clear', or 'image' to see what the teacher
                makes of cloudy images.
        """
        super().__init__(weights)

    def configure_models(self) -> None:
        """Initialize the model."""
        self.model = self.build_model(spatial_gate=False, reconstruct=False)
