"""What a trained network expects of a scene, kept in its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from torchgeo.datasets import GeoDataset

from ..datasets import M3MCR, WHUOPTSAR, ZonedDataset
from ..datasets.legend import LandCoverClass
from ..datasets.m3mcr.layout import LEGENDS
from ..datasets.scene_dataset import SceneDataset
from ..datasets.scene_spec import Range, SceneSpec

#: Colors of classes of which nothing is known but their number, in turn.
COLORS = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207),
)  # fmt: skip


class _Source(NamedTuple):
    """Images and classes that a network may have been trained on."""

    in_channels: tuple[int, int]
    legend: Sequence[LandCoverClass]
    ranges: Mapping[str, Range]
    #: Positions of the red, green and blue band.
    rgb: tuple[int, int, int] = (2, 1, 0)


#: What checkpoints without facts, such as the authors', are taken for.
PUBLISHED = (
    _Source((4, 2), LEGENDS['level1'], M3MCR.ranges),
    _Source((4, 2), LEGENDS['level2'], M3MCR.ranges),
    _Source((4, 1), WHUOPTSAR.legend, WHUOPTSAR.ranges),
)


def scene_spec(hparams: Mapping[str, Any], dataset: GeoDataset | None = None) -> SceneSpec:
    """What a network expects of a scene.

    Args:
        hparams: hyperparameters of its task.
        dataset: what it is trained on. Without, the published data set that has as many bands and
            classes; if there is none, images that are in 0..1 already.

    Returns:
        bands, ranges, classes and colors.
    """
    in_channels, count = tuple(hparams['in_channels']), hparams['num_classes']
    source = _source(dataset)
    if source is None:
        fitting = [s for s in PUBLISHED if (s.in_channels, len(s.legend)) == (in_channels, count)]
        source = fitting[0] if fitting else None
    legend = source.legend if source is not None and len(source.legend) == count else ()
    unknown = [LandCoverClass(f'class {n}', (), COLORS[n % len(COLORS)]) for n in range(count)]
    entries = legend or unknown
    unit = ((0.0,), (1.0,))
    return SceneSpec(
        class_names=tuple(hparams.get('labels') or [entry.name for entry in entries]),
        class_colors=tuple(entry.color for entry in entries),
        optical_bands=tuple(range(1, in_channels[0] + 1)),
        sar_bands=tuple(range(1, in_channels[1] + 1)),
        optical_range=source.ranges['image'] if source else unit,
        sar_range=source.ranges['image_sar'] if source else unit,
        label_scale=Fraction(str(hparams['label_scale'])),
        window=hparams['window'],
        rgb=source.rgb if source else (0, 0, 0),
        exact=('optical', 'sar'),
    )


def _source(dataset: GeoDataset | None) -> _Source | None:
    """What a data set says about itself, if it is one of the package's."""
    if isinstance(dataset, ZonedDataset):
        dataset = dataset.zone_datasets[0]
    if not isinstance(dataset, SceneDataset):
        return None
    red, green, blue = (dataset.all_bands.index(band) for band in dataset.rgb_bands)
    bands = len(dataset.all_bands), len(dataset.layers['image_sar'].bands)
    return _Source(bands, dataset.legend, dataset.ranges, (red, green, blue))
