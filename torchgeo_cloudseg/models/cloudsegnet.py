"""The network: optical and SAR encoders, a cross-modal encoder between them, U-Net decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_head
from torch import Tensor, nn

from .decoder import Decoder, Reconstruction
from .encoders import Encoder, create_encoder
from .fusion import Fusion, FusionBlock, UngatedFusionBlock, find_fusion
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


@dataclass(frozen=True)
class CloudSegConfig(NetworkConfig):
    """What makes two CloudSeg networks the same architecture.

    Attributes:
        spatial_gate: whether the fusion blocks of CloudSeg weigh optical pixels; False for others.
        fusion: name of the fusion block, see :func:`~torchgeo_cloudseg.models.find_fusion`; a
            class is replaced by its name.

    Example:
        >>> config = CloudSegConfig('mit_b0', in_channels=(13, 2), num_classes=7)
        >>> config.fusion
        'cloudseg'
    """

    fusion: str | type[Fusion] = FusionBlock.name

    def __post_init__(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: if one of them makes no sense.
        """
        super().__post_init__()
        name = find_fusion(self.fusion).name
        if name == FusionBlock.name and not self.spatial_gate:
            name = UngatedFusionBlock.name
        object.__setattr__(self, 'fusion', name)
        object.__setattr__(self, 'spatial_gate', self.spatial_gate and name == FusionBlock.name)


class CloudSegNet(Network, name='cloudseg'):
    """CloudSeg's network for optical and SAR images.

    Two encoders read the images; after each of their four stages a fusion block exchanges what
    they know with a third, cross-modal encoder. A U-Net decoder over the cross-modal maps gives
    the classes; in the student, a second one over the optical maps gives the image without
    clouds. The teacher is ``spatial_gate=False, reconstruct=False``.

    Every parameter learns: what the published method leaves without gradient (the cross-modal
    encoder's first stage, unused decoders, heads and convolutions) does not exist here.

    Initial values: encoders as in :func:`~torchgeo_cloudseg.models.encoders.create_encoder`;
    decoders and the segmentation head as in segmentation-models-pytorch (He and Xavier uniform);
    fusion blocks and the reconstruction's convolutions as PyTorch's defaults: as the authors' do.

    Attributes:
        config: the arguments that define the architecture.

    Example:
        >>> import torch
        >>> network = CloudSegNet('mit_b0', in_channels=(4, 2), num_classes=6).eval()
        >>> optical, sar = torch.rand(1, 4, 64, 64), torch.rand(1, 2, 64, 64)
        >>> with torch.no_grad():
        ...     output = network(optical, sar, output_size=(20, 20))
        >>> tuple(output.logits.shape), tuple(output.reconstruction.shape)
        ((1, 6, 20, 20), (1, 4, 64, 64))
    """

    config_class = CloudSegConfig
    config: CloudSegConfig

    def __init__(
        self,
        encoder: str = CloudSegConfig.encoder,
        in_channels: tuple[int, int] = (4, 2),
        num_classes: int = 6,
        spatial_gate: bool = True,
        reconstruct: bool = True,
        weights: Weights | Sequence[Weights] = None,
        drop_path: float = 0.1,
        activation_checkpointing: bool = False,
        modalities: Modalities = 'both',
        fusion: str | type[Fusion] = FusionBlock.name,
        modality_dropout: tuple[float, float] = (0.0, 0.0),
        residual: bool = False,
    ) -> None:
        """Initialize a new CloudSegNet instance.

        Args:
            encoder: name of the encoder, see
                :func:`~torchgeo_cloudseg.models.encoders.create_encoder`.
            in_channels: number of optical and of SAR channels.
            num_classes: number of classes. With 1 the head gives one score, of class 1 against
                class 0: logits are 0 and this score, whose cross-entropy is the binary one.
            spatial_gate: weigh optical pixels by their disagreement with SAR (student); False makes
                'cloudseg_ungated' of 'cloudseg' (teacher), and nothing of other fusion blocks.
            reconstruct: also reconstruct the cloud-free optical image (student).
            weights: initial weights of all three encoders: True for ImageNet's, TorchGeo's (a
                ``WeightsEnum`` or its name), the path of a state dict of the encoder, or None. Of
                a pair, the second are for the SAR encoder only. First convolutions are adapted
                to the number of channels.
            drop_path: drop-path probability of the encoders' last block while training.
            activation_checkpointing: compute the encoders' activations again during the backward
                pass instead of keeping them.
            modalities: ``both``, or, for comparison, a single encoder: ``optical``, ``sar`` or
                ``early`` (both images stacked). There are no fusion blocks then.
            fusion: what joins the maps after each stage: the name of a block or its class, see
                :class:`~torchgeo_cloudseg.models.Fusion`.
            modality_dropout: probabilities with which the optical, or else the SAR image of a
                training sample is left out: all of it is 0.
            residual: add the reconstruction to the image as observed, so that only what clouds have
                changed has to be learnt, and the clear rest stays as sharp as it is.

        Raises:
            ValueError: if an argument makes no sense.
            PretrainedWeightsError: if the weights cannot be had or do not fit.
        """
        super().__init__()
        self.config = CloudSegConfig(
            encoder,
            in_channels,
            num_classes,
            spatial_gate,
            reconstruct,
            modalities,
            residual,
            fusion,
        )
        self.modality_dropout = dropout_pair(modality_dropout)
        optical_channels, sar_channels = self.config.in_channels
        pair = weights_by_image(weights)
        create = partial(
            create_encoder,
            encoder,
            drop_path=drop_path,
            activation_checkpointing=activation_checkpointing,
        )
        self.encoder: Encoder | None = None
        if modalities == 'both':
            self.optical_encoder = create(optical_channels, pair[0])
            self.sar_encoder = create(sar_channels, pair[1])
            # the cross-modal map is born in the first fusion block
            self.cross_encoder = create(optical_channels, pair[0]).without_first_stage()
            channels = self.optical_encoder.out_channels
            make: Any = find_fusion(self.config.fusion)
            self.fusions = nn.ModuleList(
                make(
                    width,
                    cross=stage > 0,
                    # after the last stage only the reconstruction looks at the optical map
                    update_optical=stage < len(channels) - 1 or reconstruct,
                    update_sar=stage < len(channels) - 1,
                )
                for stage, width in enumerate(channels)
            )
        else:
            seen = SEEN[modalities]
            self.encoder = create(sum(self.config.in_channels[i] for i in seen), pair[seen[0]])
            channels = self.encoder.out_channels
        self.decoder = Decoder(channels)
        self.head = nn.Conv2d(self.decoder.out_channels, num_classes, 3, padding=1)
        initialize_head(self.head)
        self.reconstruction = (
            Reconstruction(channels, optical_channels, start_at_zero=residual)
            if reconstruct
            else None
        )
        # maps are channels-last everywhere, as attention leaves them: no copy at a convolution
        self.to(memory_format=torch.channels_last)

    def forward(
        self,
        optical: Tensor,
        sar: Tensor,
        output_size: tuple[int, int] | None = None,
        reconstruct: bool | None = None,
    ) -> CloudSegOutput:
        """Segment, and reconstruct.

        Sides that 32 does not divide are padded at the right and bottom by repeating the edge,
        and results are cropped again; other sizes are not touched.

        Args:
            optical: cloudy optical image, float, scaled to 0..1, shape (B, C, H, W).
            sar: SAR image on the same grid, float, scaled to 0..1, shape (B, S, H, W).
            output_size: height and width of the label grid to which logits are resized
                (bilinear); by default they stay at image size.
            reconstruct: False leaves the reconstruction branch out (maps need none); by default
                it runs where there is one.

        Returns:
            logits, features and reconstruction.

        Raises:
            ValueError: if shapes do not fit, or a reconstruction is asked of a network without
                that branch.
        """
        reconstruct = self.check(optical, sar, reconstruct)
        kept = self.kept(optical)
        if kept is not None:
            optical, sar = optical * kept[0], sar * kept[1]
        height, width = optical.shape[-2:]
        optical_maps, cross_maps = self.encode(pad(optical), pad(sar))
        features = self.decoder(cross_maps)
        logits = self.class_logits(self.head(features)[..., :height, :width])
        if output_size is not None:
            logits = F.interpolate(logits, size=output_size, mode='bilinear', align_corners=False)
        image = None
        if reconstruct and self.reconstruction is not None:
            image = self.reconstruction(optical_maps)[..., :height, :width]
            if self.config.residual:
                image = image + optical
        return CloudSegOutput(logits, features[..., :height, :width], image)

    @property
    def stages(self) -> list[nn.ModuleList]:
        """All before the decoders, by stage: encoders, and fusion blocks where there are any."""
        if self.encoder is not None:
            return [nn.ModuleList([stage]) for stage in self.encoder.stages]
        encoders = (self.optical_encoder, self.sar_encoder, self.cross_encoder)
        parts = zip(*(encoder.stages for encoder in encoders), self.fusions, strict=True)
        return [nn.ModuleList(modules) for modules in parts]

    @property
    def decoders(self) -> nn.ModuleList:
        """The decoders, without heads."""
        restored = [] if self.reconstruction is None else [self.reconstruction.decoder]
        return nn.ModuleList([self.decoder, *restored])

    def encode(self, optical: Tensor, sar: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Run the three encoders, fusing after each stage; or the single one.

        Args:
            optical: shape (B, C, H, W), sides divisible by 32.
            sar: shape (B, S, H, W).

        Returns:
            the optical and the cross-modal maps at strides 4, 8, 16 and 32; of a single encoder,
            the same maps twice.
        """
        if self.encoder is not None:
            images = [(optical, sar)[i] for i in SEEN[self.config.modalities]]
            maps: list[Tensor] = self.encoder(torch.cat(images, dim=1))
            return maps, maps
        optical_maps: list[Tensor] = []
        cross_maps: list[Tensor] = []
        cross: Tensor | None = None
        for optical_stage, sar_stage, cross_stage, fuse in zip(
            self.optical_encoder.stages,
            self.sar_encoder.stages,
            self.cross_encoder.stages,
            self.fusions,
            strict=True,
        ):
            optical, sar = optical_stage(optical), sar_stage(sar)
            if cross is not None:
                cross = cross_stage(cross)
            optical, sar, cross = fuse(optical, sar, cross)
            optical_maps.append(optical)
            cross_maps.append(cross)
        return optical_maps, cross_maps
