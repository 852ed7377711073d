"""Pretrained weights for encoders, and first convolutions for any number of channels."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from torchgeo_cloudseg.models.state_files import as_state_dict, listing, read_weights


class PretrainedWeightsError(ValueError):
    """Pretrained weights that cannot be had, or do not fit the encoder."""


def adapt_first_weight(weight: Tensor, in_channels: int) -> Tensor:
    """Convolution weights for another number of channels.

    The channels are repeated in turn and scaled by their old number over the new one, so that
    responses keep their size.

    Args:
        weight: weights of shape (O, I, kH, kW).
        in_channels: the new number of channels n.

    Returns:
        weights of shape (O, n, kH, kW).
    """
    old = weight.shape[1]
    return weight[:, torch.arange(in_channels) % old] * (old / in_channels)


def load_encoder_weights(
    encoder: nn.Module,
    state_dict: dict[str, Tensor],
    source: str,
    first_conv: str,
    ignored: tuple[str, ...] = (),
) -> None:
    """Load weights into an encoder, its first convolution adapted to the encoder's channels.

    Args:
        encoder: the encoder.
        state_dict: weights by the encoder's own names.
        source: where they come from, for the message.
        first_conv: name of the first convolution's weight; weights for three channels are
            adapted to any number, others must fit.
        ignored: beginnings of names that an encoder has no use for (the classifier's).

    Raises:
        PretrainedWeightsError: if any name is missing or unexpected, or a shape differs.
    """
    own = encoder.state_dict()
    found = {name: x for name, x in state_dict.items() if not name.startswith(ignored or ('\0',))}
    if first_conv in found and found[first_conv].ndim == 4 and found[first_conv].shape[1] == 3:
        found[first_conv] = adapt_first_weight(found[first_conv], own[first_conv].shape[1])
    problems = [
        f'{what}: {listing(names)}'
        for what, names in (
            ('missing', [name for name in own if name not in found]),
            ('unexpected', [name for name in found if name not in own]),
            (
                'of another shape',
                [
                    f'{name} {tuple(found[name].shape)} instead of {tuple(x.shape)}'
                    for name, x in own.items()
                    if name in found and found[name].shape != x.shape
                ],
            ),
        )
        if names
    ]
    if problems:
        raise PretrainedWeightsError(
            f'{source}: these weights do not fit the encoder. ' + '; '.join(problems)
        )
    encoder.load_state_dict(found)


def read_encoder_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read an encoder's state dict from a file.

    Args:
        path: the file.

    Returns:
        weights by name.

    Raises:
        WeightsFileError: if the file is damaged or holds anything but tensors by name.
    """
    return as_state_dict(read_weights(path), path)
