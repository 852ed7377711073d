"""The network: optical and SAR encoders, a cross-modal encoder between them, U-Net decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.base.initialization import initialize_head
from torch import Tensor, nn

from .decoder import Decoder, Reconstruction
from .encoders import Encoder, create_encoder
from .fusion import Fusion, FusionBlock, UngatedFusionBlock, find_fusion
from .weights import Weights

#: Images are padded to a multiple of the last stage's stride.
STRIDE = 32

#: What a network looks at. ``both`` is CloudSeg: three encoders with fusion blocks. The others are
#: a single encoder with the same decoders: over the optical image, over the SAR image, or over
#: both stacked (``early`` fusion).
Modalities = Literal['both', 'optical', 'sar', 'early']

#: Which of the optical and the SAR image a single encoder sees.
SEEN = {'optical': (0,), 'sar': (1,), 'early': (0, 1)}


class CloudSegOutput(NamedTuple):
    """What the network says about a batch.

    Attributes:
        logits: class scores, shape (B, K, H, W) or (B, K, *output_size).
        features: output of the cross-modal decoder, shape (B, 16, H, W): what the student learns
            to share with the teacher.
        reconstruction: the cloud-free optical image, shape (B, C, H, W), in the scale of the
            input; None without that branch.
    """

    logits: Tensor
    features: Tensor
    reconstruction: Tensor | None = None


@dataclass(frozen=True)
class CloudSegConfig:
    """What makes two networks the same architecture.

    Attributes:
        encoder: name of the encoder.
        in_channels: optical and SAR channels.
        num_classes: number of classes.
        spatial_gate: whether the fusion blocks of CloudSeg weigh optical pixels; False for others.
        reconstruct: whether there is a reconstruction branch.
        modalities: which images the network looks at, and how, see :data:`Modalities`.
        fusion: name of the fusion block, see :func:`~torchgeo_cloudseg.models.find_fusion`; a
            class is replaced by its name.
    """

    encoder: str = 'mit_b4'
    in_channels: tuple[int, int] = (4, 2)
    num_classes: int = 6
    spatial_gate: bool = True
    reconstruct: bool = True
    modalities: Modalities = 'both'
    fusion: str | type[Fusion] = FusionBlock.name

    def __post_init__(self) -> None:
        """Check the arguments; a pair may come from YAML, as a list.

        Raises:
            ValueError: if one of them makes no sense.
        """
        pair = tuple(self.in_channels) if isinstance(self.in_channels, Sequence) else ()
        if len(pair) != 2 or min(pair) < 1:
            raise ValueError(
                f'in_channels={self.in_channels}: expected two positive numbers, '
                'of optical and of SAR channels'
            )
        object.__setattr__(self, 'in_channels', pair)
        if self.num_classes < 1:
            raise ValueError(f'num_classes={self.num_classes}: expected at least 1')
        if self.modalities not in get_args(Modalities):
            raise ValueError(
                f'modalities={self.modalities!r}: expected one of {get_args(Modalities)}'
            )
        if self.modalities == 'sar' and self.reconstruct:
            raise ValueError(
                "modalities='sar' has no optical maps to reconstruct an image from; give "
                'reconstruct=False (reconstruction_weight=0 in a task)'
            )
        name = find_fusion(self.fusion).name
        if name == FusionBlock.name and not self.spatial_gate:
            name = UngatedFusionBlock.name
        object.__setattr__(self, 'fusion', name)
        # without fusion blocks there are no gates
        gated = name == FusionBlock.name and self.modalities == 'both'
        object.__setattr__(self, 'spatial_gate', gated)


class CloudSegNet(nn.Module):
    """CloudSeg's network for optical and SAR images.

    Two encoders read the images; after each of their four stages a fusion block exchanges what
    they know with a third, cross-modal encoder. A U-Net decoder over the cross-modal maps gives
    the classes; in the student, a second one over the optical maps gives the image without
    clouds. The teacher is ``spatial_gate=False, reconstruct=False``.

    Every parameter learns: what the published method leaves without gradient (the cross-modal
    encoder's first stage, unused decoders, heads and convolutions) does not exist here.

    Initial values: encoders as in :func:`~torchgeo_cloudseg.models.encoders.create_encoder`;
    decoders and heads as in segmentation-models-pytorch (He and Xavier uniform); fusion blocks
    as PyTorch's defaults.

    Attributes:
        config: the arguments that define the architecture.
    """

    def __init__(
        self,
        encoder: str = 'mit_b4',
        in_channels: tuple[int, int] = (4, 2),
        num_classes: int = 6,
        spatial_gate: bool = True,
        reconstruct: bool = True,
        weights: Weights | Sequence[Weights] = None,
        drop_path: float = 0.1,
        activation_checkpointing: bool = False,
        modalities: Modalities = 'both',
        fusion: str | type[Fusion] = FusionBlock.name,
    ) -> None:
        """Initialize a new CloudSegNet instance.

        Args:
            encoder: name of the encoder, see
                :func:`~torchgeo_cloudseg.models.encoders.create_encoder`.
            in_channels: number of optical and of SAR channels.
            num_classes: number of classes.
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

        Raises:
            ValueError: if an argument makes no sense.
            PretrainedWeightsError: if the weights cannot be had or do not fit.
        """
        super().__init__()
        self.config = CloudSegConfig(
            encoder, in_channels, num_classes, spatial_gate, reconstruct, modalities, fusion
        )
        optical_channels, sar_channels = self.config.in_channels
        single = isinstance(weights, str) or not isinstance(weights, Sequence)
        pair = (weights, weights) if single else tuple(weights)
        if len(pair) != 2:
            raise ValueError(f'weights={weights}: expected one, or two, for optical and for SAR')
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
        self.reconstruction = Reconstruction(channels, optical_channels) if reconstruct else None
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
        self._check(optical, sar)
        if reconstruct is None:
            reconstruct = self.reconstruction is not None
        height, width = optical.shape[-2:]
        optical_maps, cross_maps = self.encode(pad(optical), pad(sar))
        features = self.decoder(cross_maps)
        logits = self.head(features)[..., :height, :width]
        if output_size is not None:
            logits = F.interpolate(logits, size=output_size, mode='bilinear', align_corners=False)
        image = None
        if reconstruct:
            if self.reconstruction is None:
                raise ValueError(
                    'reconstruct=True: this network has no reconstruction branch; '
                    'make it with CloudSegNet(reconstruct=True)'
                )
            image = self.reconstruction(optical_maps)[..., :height, :width]
        return CloudSegOutput(logits, features[..., :height, :width], image)

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

    def _check(self, optical: Tensor, sar: Tensor) -> None:
        """Refuse images that are not what the network was made for."""
        names = ('optical', 'sar')
        for name, x, channels in zip(names, (optical, sar), self.config.in_channels, strict=True):
            if x.ndim != 4 or x.shape[1] != channels:
                raise ValueError(
                    f'{name}: found shape {tuple(x.shape)}, expected (B, {channels}, H, W)'
                )
        if optical.shape[0] != sar.shape[0] or optical.shape[-2:] != sar.shape[-2:]:
            raise ValueError(
                f'optical and sar: found shapes {tuple(optical.shape)} and {tuple(sar.shape)}, '
                'expected one batch on one grid'
            )


def pad(x: Tensor) -> Tensor:
    """Make both sides divisible by the last stage's stride, repeating the right and bottom edge.

    Args:
        x: images of shape (B, C, H, W).

    Returns:
        images of shape (B, C, H', W'); the same where nothing is to be done.
    """
    bottom, right = -x.shape[-2] % STRIDE, -x.shape[-1] % STRIDE
    return F.pad(x, (0, right, 0, bottom), mode='replicate') if bottom or right else x
