"""The facts about scenes that a network and its maps need; a data set states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._choices import Range as Range
from .._compat import renamed_fields
from ..rasters import exact_scale
from ..rasters.cog import Color

#: Value of the class map where there is nothing to map.
MAP_NODATA = 255


@renamed_fields(class_colours='class_colors')
@dataclass(frozen=True)
class SceneSpec:
    """What a trained network expects of a scene, and what its classes are.

    A checkpoint states these facts; the defaults are those of M3M-CR.

    Attributes:
        class_names: names of the classes, in the order of the logits.
        class_colors: red, green and blue of the classes, 0 to 255.
        optical_bands: bands of the optical file, in the network's order, counted from 1.
        sar_bands: bands of the SAR file, in the network's order, counted from 1.
        optical_range: lower and upper ends of the stored values, which are clipped and brought to
            0..1: each one number for all bands, or one per band (digital numbers). Kept as
            tuples.
        sar_range: the same for the SAR image (dB).
        optical_nodata: stored value of optical pixels without data, for files that do not
            declare one; None where every value is a measurement.
        sar_nodata: the same for SAR pixels.
        optical_scale: physical units, such as reflectance, per stored unit, for files that
            declare a scale of their own; None where values have no physical unit.
        optical_offset: physical value of a stored 0.
        label_scale: pixels of the label grid per optical pixel.
        window: side of the windows in optical pixels, as in training.
        rgb: positions in *optical_bands* of red, green and blue, counted from 0, for quick looks.
        optical_names: names of *optical_bands*, by which they are found in files that name theirs.
        sar_names: the same for the SAR image.
        images: images ('optical', 'sar') that there were in training; a network that has seen only
            one of them needs no other.
        exact: images ('optical', 'sar') whose files must have these bands and no others, because
            nobody said which of more bands they are.

    Example:
        >>> from torchgeo_cloudseg.datasets import M3MCR
        >>> spec = M3MCR.published_spec(num_classes=6)
        >>> spec.class_names
        ('forest', 'rangeland', 'agriculture', 'urban', 'barren', 'water')
    """

    class_names: tuple[str, ...]
    class_colors: tuple[Color, ...]
    optical_bands: tuple[int, ...] = (1, 2, 3, 4)
    sar_bands: tuple[int, ...] = (1, 2)
    optical_range: Range = ((0.0,), (10000.0,))
    sar_range: Range = ((-25.0, -32.5), (0.0, 0.0))
    optical_nodata: float | None = 0.0
    label_scale: Fraction = Fraction(3, 10)
    window: int = 160
    rgb: tuple[int, int, int] = (2, 1, 0)
    exact: tuple[str, ...] = ()
    sar_nodata: float | None = None
    optical_scale: float | None = 1e-4
    optical_offset: float = 0.0
    optical_names: tuple[str, ...] = ()
    sar_names: tuple[str, ...] = ()
    images: tuple[str, ...] = ('optical', 'sar')

    def __post_init__(self) -> None:
        """Check the facts against each other; sequences may come from YAML or JSON, as lists.

        Raises:
            ValueError: if they contradict each other.
        """
        listed = 'class_names', 'optical_bands', 'sar_bands', 'rgb', 'exact'
        for name in (*listed, 'optical_names', 'sar_names', 'images'):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        colors = tuple((int(r), int(g), int(b)) for r, g, b in self.class_colors)
        object.__setattr__(self, 'class_colors', colors)
        object.__setattr__(self, 'label_scale', exact_scale(self.label_scale))
        if not 0 < len(self.class_names) < MAP_NODATA:
            raise ValueError(
                f'class_names: found {len(self.class_names)}, expected 1 to {MAP_NODATA - 1}.'
            )
        if len(colors) != len(self.class_names):
            raise ValueError(
                f'class_colors: found {len(colors)}, expected one for each of the '
                f'{len(self.class_names)} classes.'
            )
        for name in ('optical', 'sar'):
            bands: tuple[int, ...] = getattr(self, f'{name}_bands')
            if not bands or min(bands) < 1:
                raise ValueError(f'{name}_bands={bands}: expected band numbers, counted from 1.')
            names: tuple[str, ...] = getattr(self, f'{name}_names')
            if len(names) not in (0, len(bands)):
                raise ValueError(
                    f'{name}_names: found {len(names)}, expected one for each of the '
                    f'{len(bands)} bands.'
                )
            ends = (np.atleast_1d(end) for end in getattr(self, f'{name}_range'))
            low, high = (tuple(map(float, end)) for end in ends)
            object.__setattr__(self, f'{name}_range', (low, high))
            if not {len(low), len(high)} <= {1, len(bands)}:
                raise ValueError(
                    f'{name}_range: found {len(low)} lower and {len(high)} upper ends, expected '
                    f'1 or {len(bands)} of each, the number of bands.'
                )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def spec_to_dict(spec: SceneSpec) -> dict[str, Any]:
    """Facts as plain values, for a checkpoint or for JSON.

    Args:
        spec: the facts.

    Returns:
        a dict that :func:`spec_from_dict` understands.
    """
    return asdict(spec) | {'label_scale': str(spec.label_scale)}


def spec_from_dict(values: Mapping[str, Any]) -> SceneSpec:
    """Facts from plain values.

    Args:
        values: what :func:`spec_to_dict` gave.

    Returns:
        the facts.
    """
    # before 2026-11 they were spelled otherwise
    renamed = {'class_colours': 'class_colors'}
    named = {renamed.get(name, name): value for name, value in values.items()}
    # earlier ones did not say what a stored unit is
    unknown = {'optical_scale': None}
    return SceneSpec(**{**unknown, **named, 'label_scale': Fraction(values['label_scale'])})
