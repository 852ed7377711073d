"""What a modality of a scene is: declared facts, no behavior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class Layer:
    """One modality of a scene: what its files hold and where it goes in a sample.

    The layer ``mask`` holds land cover: its stored codes become classes. Layers of several
    resolutions cover the same ground: *ratio* says how many of their pixels.

    Example:
        >>> layer = Layer('image_sar', 's1', ('VV', 'VH'), ('float32',), may_be_nan=True)
        >>> layer.key, layer.georeferenced
        ('image_sar', True)
    """

    #: Key of the sample, and name of the modality: ``image``, ``image_clear``, ``image_sar``,
    #: ``mask_cloud`` or ``mask``.
    key: str
    #: Folder (or the part of its name) that holds the files.
    folder: str
    #: Names of the stored bands, in order.
    bands: tuple[str, ...]
    #: Data types that a file may have (numpy names); any real one where there are none.
    dtypes: tuple[str, ...] = ()
    #: Pixels of this layer per pixel of the scene's grid.
    ratio: Fraction = field(default=Fraction(1))
    #: Required height and width in pixels; None where scenes differ in size.
    size_px: tuple[int, int] | None = None
    #: Ending of the file names; ``.npy`` files state no place, and lie where the scene lies.
    suffix: str = '.tif'
    #: True for labels and masks: returned as int64 without a band axis.
    categorical: bool = False
    #: Stored value that stands for no data, in all bands of a pixel.
    nodata: float | None = None
    #: True where NaN stands for a missing measurement, which is replaced by the mean of the band.
    may_be_nan: bool = False
    #: True where it is replaced by the mean of all bands together.
    joint_mean: bool = False
    #: Bands of a file that are read, counted from 1; by default a file has *bands* and no others.
    numbers: tuple[int, ...] = ()
    #: True where files may lie on a grid of their own, in any CRS, and beyond the scene: images are
    #: brought to the scene's grid bilinearly, labels and masks by nearest neighbor. Files without
    #: a CRS cover the scene.
    anywhere: bool = False

    @property
    def georeferenced(self) -> bool:
        """Whether the files carry a georeference of their own."""
        return self.suffix != '.npy'


def by_key(*layers: Layer) -> Mapping[str, Layer]:
    """Layers by the key of the sample.

    Args:
        *layers: the layers of a data set, in the order in which samples show them.

    Returns:
        layer by key.

    Example:
        >>> layers = by_key(Layer('image', 's2', ('B04', 'B03'), ('uint16',)))
        >>> list(layers)
        ['image']
    """
    return {layer.key: layer for layer in layers}
