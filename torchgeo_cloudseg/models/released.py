"""The networks that the authors released, as TorchGeo lists weights."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torchvision.models._api import Weights, WeightsEnum  # type: ignore[import-untyped]

from .cloudsegnet import CloudSegNet
from .reference import load_reference_checkpoint
from .weights import WeightsFileError

META: dict[str, Any] = {
    'dataset': 'm3mcr',
    'model': 'cloudseg',
    'encoder': 'mit_b4',
    'in_chans': (4, 2),
    'num_classes': 6,
    'publication': 'https://doi.org/10.1016/j.isprsjprs.2024.06.001',
}


# named as TorchGeo and torchvision name theirs
class CloudSegNet_Weights(WeightsEnum):  # type: ignore[misc]
    """Weights of :class:`CloudSegNet` that its authors released.

    The files have no lasting address of which a checksum is known: both are given to :meth:`load`.

    Example:
        >>> weights = CloudSegNet_Weights.M3MCR_STUDENT
        >>> weights.meta['file'], weights.meta['in_chans']
        ('StudentNet.pth', (4, 2))
    """

    M3MCR_TEACHER = Weights(
        url='', transforms=torch.nn.Identity, meta={**META, 'file': 'TeacherNet.pth'}
    )
    M3MCR_STUDENT = Weights(
        url='', transforms=torch.nn.Identity, meta={**META, 'file': 'StudentNet.pth'}
    )

    def load(self, source: str | os.PathLike[str], sha256: str) -> CloudSegNet:
        """Load the network from a file, or from an address. Nothing in it is run.

        Args:
            source: path or address (``https://...``) of the file.
            sha256: its SHA-256, 64 hexadecimal digits.

        Returns:
            the network, on the CPU, in evaluation mode.

        Raises:
            FileNotFoundError: if there is no such file.
            WeightsFileError: if it has another checksum, is damaged, or is the other network.
        """
        if '://' in str(source):
            with TemporaryDirectory() as folder:
                path = Path(folder) / self.meta['file']
                torch.hub.download_url_to_file(str(source), str(path), progress=False)
                return self.load(path, sha256)
        with Path(source).open('rb') as file:
            found = hashlib.file_digest(file, 'sha256').hexdigest()
        if found != sha256.lower():
            raise WeightsFileError(source, f'SHA-256 {found}', sha256)
        network = load_reference_checkpoint(source)
        is_student = self is CloudSegNet_Weights.M3MCR_STUDENT
        if network.config.reconstruct != is_student:
            kind = 'student' if network.config.reconstruct else 'teacher'
            raise WeightsFileError(source, f"the {kind}'s weights", self.meta['file'])
        return network
