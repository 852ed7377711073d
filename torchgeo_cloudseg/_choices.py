"""What can be chosen by name: of the library and of commands, which parse before they import it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

#: How windows are put together.
BlendName = Literal['average', 'hann', 'gaussian', 'crop']
DEFAULT_BLEND: BlendName = 'hann'

#: What can be written of a scene. Classes are always written.
Product = Literal[
    'classes', 'confidence', 'probabilities', 'sets', 'cloud', 'reconstruction',
    'quicklook', 'qgis', 'footprint', 'stac',
]  # fmt: skip
PRODUCTS: tuple[Product, ...] = get_args(Product)

#: What values of a SAR image can be.
SarUnit = Literal['dB', 'power', 'amplitude']

#: Pixels of an exported network's logits: those of the optical image, or of the training labels.
Resolution = Literal['optical', 'label']

#: Weights and activations of an exported network, where they are not float32.
Quantize = Literal['int8']

#: Stored values of 0 and of 1: one for all bands, or one per band.
Range = tuple[Sequence[float], Sequence[float]]

#: Windows per forward pass.
BATCH_SIZE = 16
