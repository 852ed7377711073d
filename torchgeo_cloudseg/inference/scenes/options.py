"""What is wanted of a map: declared choices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..._choices import PRODUCTS, BlendName, Product, SarUnit
from ...rasters import Resampling


@dataclass(frozen=True)
class MapOptions:
    """How a scene is mapped and what is written.

    The default plan overlaps windows by a quarter and lets the weight of a window fall off to its
    edges: 2.25 times fewer windows than the test protocol of Xu et al. 2024, which is
    ``stride=80, blend='average'``. Windows that are not given are adapted to the resolution, so
    that they begin and end on whole pixels of the map.

    Attributes:
        stride: distance between windows, in optical pixels (defaults to three quarters of a
            window).
        window: side of the windows in optical pixels (defaults to that of the training).
        blend: how windows are put together (defaults to 'hann').
        resolution: pixel size of the map: 'label' for the grid of the training labels, 'optical'
            for that of the optical image, or a number in units of its CRS.
        products: what to write beside the class map.
        sar_resampling: how SAR is brought to the optical grid where it must be warped. Training
            used the nearest neighbor.
        sar_unit: what values of SAR images are (defaults to what the files say).
        max_clipped: share of values outside of the range of the training from which a scene is
            refused.
        model_name: what a STAC item calls the network; decides nothing.

    Example:
        >>> options = MapOptions(resolution='optical', products=('confidence',))
        >>> options.products
        ('classes', 'confidence')
    """

    stride: int | None = None
    window: int | None = None
    blend: BlendName | None = None
    resolution: Literal['label', 'optical'] | float = 'label'
    products: Sequence[Product] = ('classes',)
    sar_resampling: Resampling = 'nearest'
    sar_unit: SarUnit | None = None
    max_clipped: float = 0.5
    model_name: str = field(default='', compare=False)

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            ValueError: if one of them does not exist.
        """
        unknown = [product for product in self.products if product not in PRODUCTS]
        if unknown:
            raise ValueError(f'products: found {unknown}, expected some of {list(PRODUCTS)}.')
        wanted = tuple(p for p in PRODUCTS if p in self.products or p == 'classes')
        object.__setattr__(self, 'products', wanted)
        size = self.resolution
        if size not in ('label', 'optical') and (isinstance(size, str) or size <= 0):
            expected = "'label', 'optical' or a positive pixel size"
            raise ValueError(f'resolution={size!r}: expected {expected}.')


def product_paths(output_path: Path, products: Sequence[Product]) -> dict[Product, Path]:
    """Names of the files of a map.

    Args:
        output_path: file name of the class map.
        products: what is written.

    Returns:
        the files by product, the class map last: where it is, the others are.
    """
    stem, suffix = output_path.stem, output_path.suffix
    names = {'classes': output_path.name, 'quicklook': f'{stem}.png', 'qgis': f'{stem}.qml'}
    names |= {'footprint': f'{stem}_footprint.geojson', 'stac': f'{stem}.json'}
    return {
        product: output_path.with_name(names.get(product, f'{stem}_{product}{suffix}'))
        for product in sorted(products, key=lambda product: product == 'classes')
    }
