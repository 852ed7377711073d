"""Weights for encoders: read from files without running any code in them, downloaded, and adapted.

First convolutions are adapted to any number of channels.
"""

from __future__ import annotations

import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Literal, NamedTuple, cast

import torch
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from torch import Tensor, nn
from torchgeo.models import get_weight

# torchvision has no type information, and TorchGeo takes the class from here too
from torchvision.models._api import WeightsEnum  # type: ignore[import-untyped]

#: Where weights come from: True for the library's own, TorchGeo's, a file, None or False for none.
Weights = bool | str | os.PathLike[str] | WeightsEnum | None

#: Sentinel-2's names for blue, green, red and near infrared, the order of four optical channels.
FOUR_BANDS = ('B2', 'B3', 'B4', 'B8')

#: What reading a file raises that is damaged: a pickle of tensors is a program of a kind, and its
#: faults are those of any program.
BROKEN = (
    OSError, EOFError, RuntimeError, ValueError, TypeError, AttributeError, LookupError,
    AssertionError, ArithmeticError, MemoryError, struct.error, zipfile.BadZipFile, SafetensorError,
)  # fmt: skip

#: What downloading weights raises, and reading what has come; connections fail with the errors of
#: the library that makes them, which is another one from version to version of the hub.
HUB_ERRORS = cast('tuple[type[Exception], ...]', HfHubHTTPError.__bases__)
UNAVAILABLE: tuple[type[Exception], ...] = (*BROKEN, ImportError, HTTPException, *HUB_ERRORS)

#: Channels of an ordinary photograph.
RGB = 3


class WeightsFileError(ValueError):
    """A file of weights that cannot be used as it is."""

    def __init__(self, path: str | os.PathLike[str], found: str, expected: str) -> None:
        """Initialize a new WeightsFileError instance.

        Args:
            path: the file.
            found: what is there.
            expected: what should be there.
        """
        # arguments, not a message: so the error survives the way between processes
        super().__init__(os.fspath(path), found, expected)

    def __str__(self) -> str:
        """The message."""
        path, found, expected = self.args
        return f'{path}: found {found}, expected {expected}.'


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
    except UNAVAILABLE as error:
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
    size. For a single channel those of a photograph are summed: the response to a gray image.

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
    if old == RGB and in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
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


def read_weights(path: str | os.PathLike[str]) -> object:
    """Read what :func:`torch.save` or safetensors wrote, onto the CPU.

    Tensors of files in PyTorch's zip format are mapped, not read: what is not used costs nothing.

    Args:
        path: a ``.pth``, ``.pt``, ``.ckpt`` or ``.safetensors`` file.

    Returns:
        what is in the file.

    Raises:
        FileNotFoundError: if there is no such file.
        WeightsFileError: if it is damaged, or holds anything but plain data.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f'{file}: no such file of weights. Check the path.')
    try:
        if file.suffix == '.safetensors':
            from safetensors.torch import load_file

            return load_file(file, device='cpu')
        return torch.load(
            file, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(file)
        )
    except pickle.UnpicklingError as error:
        # torch's own message advises to load the file all the same, and so to run what is in it
        foreign = re.search(r'GLOBAL (\S+)', str(error))
        raise WeightsFileError(
            file,
            'a pickle that holds more than tensors and plain values'
            + (f' ({foreign[1]})' if foreign else ''),
            'a file made by torch.save from a dict of tensors (nothing in it was run)',
        ) from error
    except BROKEN as error:
        raise WeightsFileError(
            file,
            f'a file that cannot be read ({summary(error)})',
            'a complete file made by torch.save or safetensors: copy or download it again',
        ) from error


def write_weights(content: object, path: str | os.PathLike[str]) -> None:
    """Write what :func:`read_weights` reads.

    Args:
        content: tensors and plain values.
        path: the file.

    Raises:
        OSError: if it cannot be written, as on a full disk.
    """
    try:
        torch.save(content, path)
    except RuntimeError as error:
        # how PyTorch says that the disk is full
        raise OSError(summary(error)) from error


def as_state_dict(content: object, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Check that this is a state dict.

    Args:
        content: what was in the file.
        path: the file, for the message.

    Returns:
        the same, as a dict of tensors by name.

    Raises:
        WeightsFileError: if it is anything else.
    """
    if not isinstance(content, Mapping):
        raise WeightsFileError(path, f'a {type(content).__name__}', 'a dict of tensors by name')
    foreign = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if foreign or not content:
        found = f'entries that are no tensors: {listing(foreign)}' if foreign else 'an empty dict'
        raise WeightsFileError(path, found, 'a dict of tensors by name')
    return {str(key): value for key, value in content.items()}


def misfits(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What of a state dict does not fit a module.

    Args:
        own: the module's state dict.
        found: another, by the same names.

    Returns:
        the names that are missing, unexpected or of another shape; empty if all is well.
    """
    problems = {
        'missing': [name for name in own if name not in found],
        'unexpected': [name for name in found if name not in own],
        'of another shape': [
            f'{name} {tuple(found[name].shape)} instead of {tuple(x.shape)}'
            for name, x in own.items()
            if name in found and found[name].shape != x.shape
        ],
    }
    return '; '.join(f'{what}: {listing(names)}' for what, names in problems.items() if names)


def listing(names: list[str], shown: int = 20) -> str:
    """Names for a message, not more than can be read.

    Args:
        names: any number of names.
        shown: how many to spell out.

    Returns:
        the names, and how many more there are.
    """
    rest = len(names) - shown
    return ', '.join(names[:shown]) + (f' and {rest} more' if rest > 0 else '')


def summary(error: Exception) -> str:
    """What another library's error says, in one line.

    Args:
        error: the error.

    Returns:
        its type and the first line of its message.
    """
    return f'{type(error).__name__}: {error}'.splitlines()[0].rstrip(': ')
