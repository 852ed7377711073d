"""CloudSeg as the released code computes it, for comparison only.

Written from the description of the method: encoders and decoders as segmentation-models-pytorch has
them (attention with an explicit softmax, layer norms on channels-last copies of NCHW maps), a
registered decoder and head for every stream, the reconstruction branch in every student forward.
Parameters have the names of the released checkpoints, so that both networks can have the same
weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from torchgeo_cloudseg.models import CloudSegNet
from torchgeo_cloudseg.models.reference import reference_name

DECODER_CHANNELS = (256, 128, 64, 32, 16)


class Stream(nn.Module):
    """Encoder, decoder and head of a modality."""

    def __init__(self, encoder: str, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.encoder = get_encoder(encoder, in_channels=in_channels, weights=None)
        self.channels = self.encoder.out_channels[2:]
        self.decoder = UnetDecoder((0, 0, *self.channels), DECODER_CHANNELS, 5)
        self.segmentation_head = nn.Sequential(nn.Conv2d(16, num_classes, 3, padding=1))

    def stage(self, number: int, x: Tensor) -> Tensor:
        for part in ('patch_embed', 'block', 'norm'):
            x = getattr(self.encoder, f'{part}{number}')(x)
        return x.contiguous()

    def decode(self, maps: list[Tensor]) -> Tensor:
        batch, _, height, width = maps[0].shape
        empty = [maps[0].new_empty(batch, 0, side * height, side * width) for side in (4, 2)]
        features: Tensor = self.decoder([*empty, *maps])
        return features


class MultiScale(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3 * channels, channels, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        pooled = [F.max_pool2d(x, k) for k in (2, 4)]
        scales = [x, *(F.interpolate(p, size=x.shape[-2:], mode='nearest') for p in pooled)]
        out: Tensor = self.conv(torch.cat(scales, dim=1))
        return out


class SpatialGate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Module()
        self.spatial.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.spatial.bn = nn.BatchNorm2d(1, eps=1e-5, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
        out: Tensor = torch.sigmoid(self.spatial.bn(self.spatial.conv(pooled)))
        return out


class CrossUpdate(nn.Module):
    def __init__(self, total: int) -> None:
        super().__init__()
        hidden = total // 16 if total >= 16 else total * 16
        self.excitation = nn.Sequential(
            nn.Linear(total, hidden, bias=False),
            nn.ReLU(),
            nn.Linear(hidden, total, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        joined = torch.cat(maps, dim=1)
        weights = self.excitation(joined.mean((2, 3)))
        groups = (joined * weights[:, :, None, None]).chunk(len(maps), dim=1)
        return torch.stack(groups).sum(0)


class Fusion(nn.Module):
    def __init__(self, channels: int, first: bool, gate: bool) -> None:
        super().__init__()
        self.modality1_msc, self.modality2_msc = MultiScale(channels), MultiScale(channels)
        self.cross_modality_msc = MultiScale(channels)
        if gate:
            self.spatial_attn_block = SpatialGate()
        self.gated = gate
        self.update_cross_modality_block = CrossUpdate((2 if first else 3) * channels)
        self.modality1_distribute_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.modality2_distribute_conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, optical: Tensor, sar: Tensor, cross: Tensor | None) -> tuple[Tensor, ...]:
        o, s = self.modality1_msc(optical), self.modality2_msc(sar)
        maps = [o * self.spatial_attn_block(o - s) if self.gated else o, s]
        if cross is not None:
            maps.append(self.cross_modality_msc(cross))
        fused = self.update_cross_modality_block(maps)
        d1, d2 = fused - o, fused - s
        optical = optical + d1 * torch.sigmoid(self.modality1_distribute_conv(d1))
        sar = sar + d2 * torch.sigmoid(self.modality2_distribute_conv(d2))
        return optical, sar, fused


class Baseline(nn.Module):
    """Teacher or student."""

    def __init__(self, encoder: str = 'mit_b4', student: bool = True) -> None:
        super().__init__()
        self.modality1_stream = Stream(encoder, 4, 6)
        self.modality2_stream = Stream(encoder, 2, 6)
        self.cross_modality_stream = Stream(encoder, 4, 6)
        for number, channels in enumerate(self.modality1_stream.channels, 1):
            setattr(self, f'fuse_block_stage{number}', Fusion(channels, number == 1, student))
        self.student = student
        if student:
            self.cr_head = nn.Sequential(
                nn.Conv2d(16, 64, 3, padding=1), nn.Conv2d(64, 4, 3, padding=1)
            )

    def forward(self, optical: Tensor, sar: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Logits at image size, features, and the student's reconstruction."""
        cross, optical_maps, cross_maps = None, [], []
        for number in range(1, 5):
            optical = self.modality1_stream.stage(number, optical)
            sar = self.modality2_stream.stage(number, sar)
            if cross is not None:
                cross = self.cross_modality_stream.stage(number, cross)
            fuse = getattr(self, f'fuse_block_stage{number}')
            optical, sar, cross = fuse(optical, sar, cross)
            optical_maps.append(optical)
            cross_maps.append(cross)
        features = self.cross_modality_stream.decode(cross_maps)
        logits = self.cross_modality_stream.segmentation_head(features)
        image = self.cr_head(self.modality1_stream.decode(optical_maps)) if self.student else None
        return logits, features, image


def with_weights_of(network: CloudSegNet) -> Baseline:
    """A baseline with the weights of one of our networks.

    Args:
        network: teacher or student.

    Returns:
        the baseline, in the same mode.

    Raises:
        RuntimeError: if a parameter of ours has no counterpart.
    """
    twin = Baseline(network.config.encoder, network.config.reconstruct)
    state = {reference_name(name): value for name, value in network.state_dict().items()}
    found = nn.Module.load_state_dict(twin, state, strict=False)
    if found.unexpected_keys:
        raise RuntimeError(f'no counterpart: {found.unexpected_keys}')
    return twin.train(network.training)
