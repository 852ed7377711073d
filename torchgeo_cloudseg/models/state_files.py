"""Reading files of weights, without running any code in them."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor


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
    except Exception as error:
        raise WeightsFileError(
            file,
            f'a file that cannot be read ({summary(error)})',
            'a complete file made by torch.save or safetensors: copy or download it again',
        ) from error


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
