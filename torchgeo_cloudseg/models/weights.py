"""Pretrained weights for encoders, and first convolutions for any number of channels."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torchgeo.models import get_weight

# torchvision has no type information, and TorchGeo takes the class from here too
from torchvision.models._api import WeightsEnum  # type: ignore[import-untyped]

from .state_files import as_state_dict, misfits, read_weights, summary

#: Where weights come from: True for the library's own, TorchGeo's, a file, None or False for none.
Weights = bool | str | os.PathLike[str] | WeightsEnum | None

#: Sentinel-2's names for blue, green, red and near infrared, the order of four optical channels.
FOUR_BANDS = ('B2', 'B3', 'B4', 'B8')

#: Channels of an ordinary photograph.
RGB = 3


class PretrainedWeightsError(ValueError):
    """Pretrained weights that cannot be had, or do not fit the encoder."""


class Pretrained(NamedTuple):
    """Weights and where they come from.

    Attributes:
        state_dict: weights by name.
        source: a file or a name, for messages.
        bands: names of the channels of the first convolution, where known.
    """

    state_dict: dict[str, Tensor]
    source: str
    bands: tuple[str, ...] = ()


def find_weights(
    weights: Literal[True] | str | os.PathLike[str] | WeightsEnum,
    encoder: str,
    imagenet: Callable[[str], dict[str, Tensor]],
) -> Pretrained:
    """Get an encoder's own weights, TorchGeo's, or those in a file.

    Args:
        weights: True, a member of one of TorchGeo's enumerations, its name
            (``'ResNet50_Weights.SENTINEL1_ALL_MOCO'``), or a path.
        encoder: name of the encoder.
        imagenet: gives the state dict for True, by name of the encoder.

    Returns:
        the weights.

    Raises:
        PretrainedWeightsError: if TorchGeo has no such weights, or they can neither be downloaded
            nor found in the cache.
        FileNotFoundError: if there is no such file.
        WeightsFileError: if the file is damaged or holds anything but tensors by name.
    """
    if isinstance(weights, str) and re.fullmatch(r'\w+_Weights\.\w+', weights):
        try:
            weights = get_weight(weights)
        except (KeyError, ValueError) as error:
            raise PretrainedWeightsError(f'weights={weights!r}: TorchGeo has none such') from error
    source = f'pretrained weights of {encoder if weights is True else weights}'
    try:
        if weights is True:
            return Pretrained(imagenet(encoder), source)
        if isinstance(weights, WeightsEnum):
            bands = tuple(weights.meta.get('bands') or ())
            return Pretrained(dict(weights.get_state_dict(progress=True)), source, bands)
    except Exception as error:
        raise PretrainedWeightsError(
            f'{source}: they could not be downloaded ({summary(error)}). '
            'Connect to the network once, or give the path of a local state dict as weights=, '
            'or weights=None to start from scratch.'
        ) from error
    return Pretrained(as_state_dict(read_weights(weights), weights), str(Path(weights)))


def adapt_first_weight(weight: Tensor, in_channels: int, bands: Sequence[str] = ()) -> Tensor:
    """Convolution weights for another number of channels.

    The channels of a photograph are repeated in turn. Of a satellite's, four are found by name.
    Both are scaled by the old number of channels over the new one, so that responses keep their
    size.

    Args:
        weight: weights of shape (O, I, kH, kW).
        in_channels: the new number of channels n.
        bands: names of the I channels, where known.

    Returns:
        weights of shape (O, n, kH, kW); unchanged where neither rule applies.
    """
    old = weight.shape[1]
    if old == in_channels:
        return weight
    if old == RGB:
        chosen = [i % old for i in range(in_channels)]
    elif in_channels == len(FOUR_BANDS) and set(FOUR_BANDS) <= set(bands):
        chosen = [bands.index(band) for band in FOUR_BANDS]
    else:
        return weight
    return weight[:, chosen] * (old / in_channels)


def load_encoder_weights(encoder: nn.Module, weights: Pretrained) -> None:
    """Load weights into an encoder, its first convolution adapted to the encoder's channels.

    Args:
        encoder: the encoder.
        weights: weights by the encoder's own names.

    Raises:
        PretrainedWeightsError: if any name is missing or unexpected, or a shape differs.
    """
    own = encoder.state_dict()
    # files of old versions of PyTorch do not have this counter
    counters = {name: x for name, x in own.items() if name.endswith('num_batches_tracked')}
    found = counters | weights.state_dict
    first = next(name for name, x in encoder.named_modules() if isinstance(x, nn.Conv2d))
    stem = f'{first}.weight'
    if stem in found and found[stem].ndim == own[stem].ndim:
        found[stem] = adapt_first_weight(found[stem], own[stem].shape[1], weights.bands)
    if problems := misfits(own, found):
        raise PretrainedWeightsError(
            f'{weights.source}: these weights do not fit the encoder. {problems}'
        )
    encoder.load_state_dict(found)
