"""A small network: two light encoders, one gate that knows where clouds are, one small decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encoders import Encoder, create_encoder
from .network import (
    SEEN,
    CloudSegOutput,
    Modalities,
    Network,
    NetworkConfig,
    dropout_pair,
    pad,
    weights_by_image,
)
from .weights import Weights

#: Channels of the decoder's output at stride 2.
FEATURES = 32

#: Opacity that an untrained network sees everywhere, as a logit: mostly clear.
FIRST_OPACITY = -2.0

#: Opacity from which on an image is taken to show nothing of the ground. Networks that learn from
#: synthetic clouds tell half of a real one's: weighed by (1 - opacity), optical maps did harm.
OPAQUE = 0.5

#: Least sum of the weights by which maps are scaled up.
LEAST_WEIGHT = 0.05


@dataclass(frozen=True)
class LiteConfig(NetworkConfig):
    """What makes two light networks the same architecture.

    Attributes:
        reconstruct: whether the decoder also gives the cloud-free image, at half its resolution.
        width: channels of all maps behind the encoders.
    """

    encoder: str = 'mobilenetv4_conv_small'
    reconstruct: bool = False
    width: int = 64


class CloudSegLite(Network, name='lite'):
    """A network of 3 million parameters that weighs its images by what they can know.

    An encoder for each image, their maps brought to one width, and per stage one convolution over
    both, then a top-down decoder to stride 2. From the maps at stride 4 two convolutions tell the
    opacity of the clouds; the optical maps of every stage are weighed by it, from 1 in clear sky
    to 0 from an opacity of :data:`OPAQUE` on, and the weights themselves are channels of the mix.
    So the gate is learnt where its truth is known, see
    :class:`~torchgeo_cloudseg.losses.OpacityLoss`, and it is an output.

    A pixel that is 0 in all bands of an image has no data there, and the image's maps weigh
    nothing at that place. An image that is missing altogether is given as zeros: what is left of
    the network is one for the other image.

    Attributes:
        config: the arguments that define the architecture.

    Example:
        >>> import torch
        >>> network = CloudSegLite(in_channels=(4, 2), num_classes=6).eval()
        >>> with torch.no_grad():
        ...     output = network(torch.rand(1, 4, 64, 64), torch.rand(1, 2, 64, 64))
        >>> tuple(output.logits.shape), tuple(output.opacity.shape)
        ((1, 6, 64, 64), (1, 1, 64, 64))
    """

    config_class = LiteConfig
    config: LiteConfig

    def __init__(
        self,
        encoder: str = LiteConfig.encoder,
        in_channels: tuple[int, int] = (4, 2),
        num_classes: int = 6,
        spatial_gate: bool = True,
        reconstruct: bool = False,
        weights: Weights | Sequence[Weights] = None,
        drop_path: float = 0.0,
        activation_checkpointing: bool = False,
        modalities: Modalities = 'both',
        width: int = 64,
        modality_dropout: tuple[float, float] = (0.0, 0.0),
        residual: bool = False,
    ) -> None:
        """Initialize a new CloudSegLite instance.

        Args:
            encoder: name of the encoder, see
                :func:`~torchgeo_cloudseg.models.encoders.create_encoder`.
            in_channels: number of optical and of SAR channels.
            num_classes: number of classes.
            spatial_gate: weigh optical maps by the opacity of the clouds (student).
            reconstruct: also give the cloud-free optical image.
            weights: initial weights of the encoders, or a pair, see
                :class:`~torchgeo_cloudseg.models.CloudSegNet`.
            drop_path: drop-path probability of the encoders' last block while training.
            activation_checkpointing: compute the encoders' activations again during the backward
                pass instead of keeping them.
            modalities: ``both``, or, for comparison, a single encoder: ``optical``, ``sar`` or
                ``early`` (both images stacked).
            width: channels of all maps behind the encoders.
            modality_dropout: probabilities with which the optical, or else the SAR maps of a
                training sample weigh nothing.
            residual: reconstruct where clouds hide the ground, by their opacity, and keep the image
                as observed elsewhere; without a gate, add the reconstruction to the image, see
                :class:`~torchgeo_cloudseg.models.CloudSegNet`.

        Raises:
            ValueError: if an argument makes no sense.
            PretrainedWeightsError: if the weights cannot be had or do not fit.
        """
        super().__init__()
        self.config = LiteConfig(
            encoder,
            in_channels,
            num_classes,
            spatial_gate,
            reconstruct,
            modalities,
            residual,
            width,
        )
        self.modality_dropout = dropout_pair(modality_dropout)
        #: Images that each stream sees.
        self.seen = ((0,), (1,)) if modalities == 'both' else (SEEN[modalities],)
        initial = weights_by_image(weights)
        streams = []
        for seen in self.seen:
            channels = sum(self.config.in_channels[i] for i in seen)
            net = create_encoder(
                encoder, channels, initial[seen[0]], drop_path, activation_checkpointing
            )
            streams.append(Stream(net, width))
        self.streams = nn.ModuleList(streams)
        stages = len(streams[0].project)
        # several streams are told apart by what they weigh
        mixed = len(streams) * (width + 1) if len(streams) > 1 else width
        self.mix = nn.ModuleList(convolution(mixed, width, 1) for _ in range(stages))
        self.refine = nn.ModuleList(separable(width) for _ in range(stages))
        self.up = convolution(width, FEATURES, 3)
        self.head = nn.Conv2d(FEATURES, num_classes, 1)
        self.opacity: nn.Sequential | None = None
        if self.config.spatial_gate:
            last = nn.Conv2d(width // 2, 1, 3, padding=1)
            nn.init.constant_(last.bias, FIRST_OPACITY)  # type: ignore[arg-type]  # it has one
            self.opacity = nn.Sequential(convolution(2 * width, width // 2, 3), last)
        self.reconstruction = (
            nn.Conv2d(FEATURES, self.config.in_channels[0], 3, padding=1) if reconstruct else None
        )
        if self.reconstruction is not None and residual and self.opacity is None:
            for values in self.reconstruction.parameters():
                nn.init.zeros_(values)
        self.to(memory_format=torch.channels_last)

    def forward(
        self,
        optical: Tensor,
        sar: Tensor,
        output_size: tuple[int, int] | None = None,
        reconstruct: bool | None = None,
    ) -> CloudSegOutput:
        """Segment, tell the clouds, and reconstruct.

        Args:
            optical: cloudy optical image, float, scaled to 0..1, shape (B, C, H, W); zeros where
                there is none.
            sar: SAR image on the same grid, float, scaled to 0..1, shape (B, S, H, W); zeros where
                there is none.
            output_size: height and width of the label grid to which logits are resized
                (bilinear); by default they stay at image size.
            reconstruct: False leaves the reconstruction branch out; by default it runs where there
                is one.

        Returns:
            logits, features (B, 32, H / 2, W / 2) of the padded image, reconstruction and opacity.

        Raises:
            ValueError: if shapes do not fit, or a reconstruction is asked of a network without
                that branch.
        """
        reconstruct = self.check(optical, sar, reconstruct)
        height, width = optical.shape[-2:]
        images = pad(optical), pad(sar)
        size = images[0].shape[-2:]
        maps = [
            stream(torch.cat([images[i] for i in seen], dim=1))
            for stream, seen in zip(self.streams, self.seen, strict=True)
        ]
        weights, opacity = self.weigh(images, maps)
        kept = self.kept(optical)
        if kept is not None and len(maps) > 1:
            weights = [weight * seen for weight, seen in zip(weights, kept, strict=True)]
        features = self.decode(maps, weights)

        def whole(x: Tensor) -> Tensor:
            x = F.interpolate(x, size=size, mode='bilinear', align_corners=False)
            return x[..., :height, :width]

        logits = self.class_logits(whole(self.head(features)))
        if output_size is not None:
            logits = F.interpolate(logits, size=output_size, mode='bilinear', align_corners=False)
        image, seen = None, None if opacity is None else whole(opacity)
        if reconstruct and self.reconstruction is not None:
            image = whole(self.reconstruction(features))
            if self.config.residual and seen is None:
                image = image + optical
            elif self.config.residual and seen is not None:
                # the opacity is learnt of clouds, not of what makes a better picture
                image = optical + (seen.detach() / OPAQUE).clamp(max=1) * (image - optical)
        return CloudSegOutput(logits, features, image, seen)

    @property
    def tells_opacity(self) -> bool:
        """Whether the network tells the opacity of clouds."""
        return self.opacity is not None

    @property
    def stages(self) -> list[nn.ModuleList]:
        """The encoders, by stage."""
        streams: list[Any] = [*self.streams]
        parts = zip(*(stream.encoder.stages for stream in streams), strict=True)
        return [nn.ModuleList(modules) for modules in parts]

    @property
    def decoders(self) -> nn.ModuleList:
        """All between the encoders and the heads."""
        streams: list[Any] = [*self.streams]
        projections = (stream.project for stream in streams)
        return nn.ModuleList([*projections, self.mix, self.refine, self.up])

    def weigh(
        self, images: Sequence[Tensor], maps: Sequence[Sequence[Tensor]]
    ) -> tuple[list[Tensor], Tensor | None]:
        """How much each stream knows at each place.

        Args:
            images: optical and SAR image, sides divisible by 32.
            maps: maps of each stream.

        Returns:
            weights in 0..1 of every stream, each (B, 1, H / 4, W / 4), and the opacity of the
            clouds on the same grid, where the network tells it.
        """
        weights = [
            F.avg_pool2d((image != 0).any(dim=1, keepdim=True).to(image.dtype), 4)
            for image in images[: len(maps)]
        ]
        if self.opacity is None:
            return weights, None
        opacity = torch.sigmoid(self.opacity(torch.cat([stream[0] for stream in maps], dim=1)))
        return [weights[0] * (1 - opacity / OPAQUE).clamp(min=0), weights[1]], opacity

    def decode(self, maps: Sequence[Sequence[Tensor]], weights: Sequence[Tensor]) -> Tensor:
        """Mix the streams at every stage, from coarse to fine.

        Args:
            maps: maps of each stream at strides 4, 8, 16 and 32.
            weights: weights in 0..1 of every stream at stride 4.

        Returns:
            features (B, 32, H / 2, W / 2).
        """
        mixed: list[Tensor] = []
        for stage, mix in enumerate(self.mix):
            parts = [stream[stage] for stream in maps]
            if len(parts) > 1:
                if stage:
                    weights = [F.avg_pool2d(weight, 2) for weight in weights]
                # what is there counts for what is not, so that the mix is as large as ever
                scale = len(parts) / sum(weights).clamp(min=LEAST_WEIGHT)  # type: ignore[union-attr]
                parts = [x * (weight * scale) for x, weight in zip(parts, weights, strict=True)]
                parts += [1 - weight for weight in weights]
            mixed.append(mix(torch.cat(parts, dim=1)))
        x: Tensor = self.refine[-1](mixed[-1])
        for finer, refine in zip(mixed[-2::-1], self.refine[-2::-1], strict=True):
            size = finer.shape[-2:]
            x = refine(finer + F.interpolate(x, size=size, mode='bilinear', align_corners=False))
        x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
        features: Tensor = self.up(x)
        return features


class Stream(nn.Module):
    """An encoder whose maps all have the same number of channels."""

    def __init__(self, encoder: Encoder, width: int) -> None:
        """Initialize a new Stream instance.

        Args:
            encoder: the encoder.
            width: channels of all maps.
        """
        super().__init__()
        self.encoder = encoder
        self.project = nn.ModuleList(nn.Conv2d(n, width, 1) for n in encoder.out_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Encode.

        Args:
            image: shape (B, C, H, W), sides divisible by 32.

        Returns:
            maps (B, width, h, w) at strides 4, 8, 16 and 32.
        """
        maps = self.encoder(image)
        return [project(x) for project, x in zip(self.project, maps, strict=True)]


def convolution(in_channels: int, out_channels: int, size: int) -> nn.Sequential:
    """A convolution, batch norm and ReLU.

    Args:
        in_channels: channels of the map.
        out_channels: channels of the result.
        size: side of the kernel.

    Returns:
        the layers; the size of the map stays.
    """
    conv = nn.Conv2d(in_channels, out_channels, size, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def separable(channels: int) -> nn.Sequential:
    """A depthwise and a pointwise convolution, each with batch norm and ReLU.

    Args:
        channels: channels of the map.

    Returns:
        the layers; the size of the map stays.
    """
    depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    first = (depthwise, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
    return nn.Sequential(*first, *convolution(channels, channels, 1))
