"""What tasks, maps and exports know of a network for an optical and a SAR image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .hub import HubNetwork
from .registry import Registered
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
    """What a network says about a batch.

    Attributes:
        logits: class scores, shape (B, K, H, W), or (B, K, h, w) of the size asked for.
        features: output of the decoder, shape (B, D, h, w): what a student learns to share with
            its teacher. Of CloudSegNet (B, 16, H, W).
        reconstruction: the cloud-free optical image, shape (B, C, H, W), in the scale of the
            input; None without that branch.
        opacity: opacity of the clouds in 0..1, shape (B, 1, H, W); None of a network that does not
            tell.

    Example:
        >>> import torch
        >>> output = CloudSegOutput(torch.zeros(1, 6, 8, 8), features=torch.zeros(1, 16, 8, 8))
        >>> output.reconstruction is None
        True
    """

    logits: Tensor
    features: Tensor
    reconstruction: Tensor | None = None
    opacity: Tensor | None = None


@dataclass(frozen=True)
class NetworkConfig:
    """What makes two networks the same architecture.

    Attributes:
        encoder: name of the encoder.
        in_channels: optical and SAR channels.
        num_classes: number of classes; 1 for a single score, of class 1 against class 0.
        spatial_gate: whether optical pixels are weighed where clouds hide the ground.
        reconstruct: whether there is a reconstruction branch.
        modalities: which images the network looks at, and how, see :data:`Modalities`.
        residual: whether the reconstruction is what clouds have changed, rather than the image.
    """

    encoder: str = 'mit_b4'
    in_channels: tuple[int, int] = (4, 2)
    num_classes: int = 6
    spatial_gate: bool = True
    reconstruct: bool = True
    modalities: Modalities = 'both'
    residual: bool = False

    @property
    def num_logits(self) -> int:
        """Channels of the logits: one per class, two for a single score."""
        return max(2, self.num_classes)

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
        object.__setattr__(self, 'residual', self.residual and self.reconstruct)
        # a single encoder has nothing to weigh against
        object.__setattr__(self, 'spatial_gate', self.spatial_gate and self.modalities == 'both')


class Network(Registered, HubNetwork, ABC, name='architecture'):
    """A network for an optical and a SAR image on one grid. Subclasses are registered by name.

    Another one is a subclass with a name of its own, as ``class MyNet(Network, name='mine')``, and
    ``architecture='mine'`` in a task; its constructor takes the fields of its
    :attr:`config_class`, and *weights*, *drop_path*, *activation_checkpointing* and
    *modality_dropout*.

    Attributes:
        config: the arguments that define the architecture.

    Example:
        >>> import torch
        >>> from torchgeo_cloudseg.models import CloudSegNet
        >>> network = CloudSegNet('mit_b0')
        >>> isinstance(network, Network), network.config.encoder
        (True, 'mit_b0')
    """

    #: Class of its configuration, which has a default for the encoder.
    config_class: ClassVar[type[NetworkConfig]]

    config: NetworkConfig

    #: Probabilities with which the optical, or else the SAR image of a training sample is left out.
    modality_dropout: tuple[float, float] = (0.0, 0.0)

    @abstractmethod
    def forward(
        self,
        optical: Tensor,
        sar: Tensor,
        output_size: tuple[int, int] | None = None,
        reconstruct: bool | None = None,
    ) -> CloudSegOutput:
        """Segment, and reconstruct.

        Args:
            optical: cloudy optical image, float, scaled to 0..1, shape (B, C, H, W).
            sar: SAR image on the same grid, float, scaled to 0..1, shape (B, S, H, W).
            output_size: height and width of the label grid to which logits are resized
                (bilinear); by default they stay at image size.
            reconstruct: False leaves the reconstruction branch out (maps need none); by default
                it runs where there is one.

        Returns:
            what the network says.

        Raises:
            ValueError: if shapes do not fit, or a reconstruction is asked of a network without
                that branch.
        """

    @property
    @abstractmethod
    def stages(self) -> list[nn.ModuleList]:
        """All before the decoders, by stage."""

    @property
    @abstractmethod
    def decoders(self) -> nn.ModuleList:
        """The decoders, without heads."""

    @property
    def tells_opacity(self) -> bool:
        """Whether the network tells the opacity of clouds."""
        return False

    @property
    def looks_at(self) -> tuple[str, ...]:
        """Which images matter to the network: 'optical', 'sar' or both."""
        return tuple(('optical', 'sar')[i] for i in SEEN.get(self.config.modalities, (0, 1)))

    def class_logits(self, scores: Tensor) -> Tensor:
        """Logits of all classes.

        Args:
            scores: what the head gives, (B, K, h, w).

        Returns:
            the same; of a single score the two logits (B, 2, h, w) whose cross-entropy is the
            binary one: 0 for class 0, and the score for class 1.
        """
        if self.config.num_classes > 1:
            return scores
        return torch.cat([torch.zeros_like(scores), scores], dim=1)

    def kept(self, optical: Tensor) -> tuple[Tensor, Tensor] | None:
        """Draw which images of a training batch the network is to see.

        Args:
            optical: optical images of the batch, (B, C, H, W).

        Returns:
            0 or 1 for each optical and each SAR image, two tensors (B, 1, 1, 1), never both 0;
            None where all are seen.
        """
        without_optical, without_sar = self.modality_dropout
        if not self.training or without_optical + without_sar == 0:
            return None
        drawn = torch.rand(len(optical), 1, 1, 1, device=optical.device)
        return (drawn >= without_optical).float(), (drawn < 1 - without_sar).float()

    def rebuilt(self, **changes: Any) -> Self:
        """A new network of the same architecture.

        Args:
            **changes: fields of the configuration that are otherwise.

        Returns:
            the network, with initial values of its own.
        """
        return type(self)(**asdict(replace(self.config, **changes)))

    def check(self, optical: Tensor, sar: Tensor, reconstruct: bool | None) -> bool:
        """Refuse what the network was not made for.

        Args:
            optical: shape (B, C, H, W).
            sar: shape (B, S, H, W).
            reconstruct: whether a reconstruction is asked for; None where there is one.

        Returns:
            whether to reconstruct.

        Raises:
            ValueError: if shapes do not fit, or there is no such branch.
        """
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
        if reconstruct and not self.config.reconstruct:
            raise ValueError(
                'reconstruct=True: this network has no reconstruction branch; make it with '
                f'{type(self).__name__}(reconstruct=True)'
            )
        return self.config.reconstruct if reconstruct is None else reconstruct


def dropout_pair(probabilities: Sequence[float]) -> tuple[float, float]:
    """Check the probabilities with which images are left out.

    Args:
        probabilities: of the optical and of the SAR image.

    Returns:
        the pair.

    Raises:
        ValueError: if they are not two, or together more than 1.
    """
    pair = tuple(probabilities)
    if len(pair) != 2 or min(pair) < 0 or sum(pair) > 1:
        raise ValueError(
            f'modality_dropout={probabilities}: expected two probabilities, for optical and for '
            'SAR, of which the sum is at most 1'
        )
    return pair


def weights_by_image(weights: Weights | Sequence[Weights]) -> tuple[Weights, Weights]:
    """Initial weights of the optical and of the SAR encoder.

    Args:
        weights: those of both, or a pair.

    Returns:
        a pair.

    Raises:
        ValueError: if there are more.
    """
    single = isinstance(weights, str) or not isinstance(weights, Sequence)
    pair: Any = (weights, weights) if single else tuple(weights)
    if len(pair) != 2:
        raise ValueError(f'weights={weights}: expected one, or two, for optical and for SAR')
    return pair[0], pair[1]


def pad(x: Tensor) -> Tensor:
    """Make both sides divisible by the last stage's stride, repeating the right and bottom edge.

    Args:
        x: images of shape (B, C, H, W).

    Returns:
        images of shape (B, C, H', W'); the same where nothing is to be done.
    """
    bottom, right = -x.shape[-2] % STRIDE, -x.shape[-1] % STRIDE
    return F.pad(x, (0, right, 0, bottom), mode='replicate') if bottom or right else x
