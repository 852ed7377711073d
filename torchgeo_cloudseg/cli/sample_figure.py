"""A sample of a data set as a figure, with what a network makes of it."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from ..datamodules.collate import collate
from ..datamodules.sky import sky
from ..datasets import SceneDataset, SceneSpec
from ..inference.windows.network import slide_scenes
from ..models import Network
from ..samplers import CenterSceneSampler
from ..transforms import Rescale

#: A network and what it expects of a scene.
Mapper = tuple[Network, SceneSpec]

#: Longest side of a sample, in pixels.
LARGEST_PX = 1024

#: Clouds on data sets that have none, for a student.
CLOUDS = 'm3mcr'


def sample_figure(
    kind: type[SceneDataset], root: Path, split: str, index: int, mapper: Mapper | None
) -> Figure:
    """Draw a scene, or its middle if it is large, and what a network makes of it.

    Args:
        kind: the data set.
        root: its root directory.
        split: its split.
        index: which of its scenes, from 0.
        mapper: a network and what it expects of a scene.

    Returns:
        the figure.

    Raises:
        ValueError: if there is no such scene, or the network was trained on other data.
    """
    arguments = {} if mapper is None else _arguments(kind, root, mapper[1])
    dataset = kind.zoned(root, split=split, **arguments)
    whole = CenterSceneSampler(dataset)
    large = whole.patches()[['height', 'width']].iloc[0].max() > LARGEST_PX
    queries = list(CenterSceneSampler(dataset, LARGEST_PX) if large else whole)
    if not 0 <= index < len(queries):
        last = len(queries) - 1
        raise ValueError(f'index={index}: expected 0 to {last}, the scenes of the split.')
    sample = dataset[queries[index]]
    if mapper is not None:
        if 'image_clear' not in kind.layers and mapper[0].config.reconstruct:
            # a student is shown what it is tested on
            clouded = sky(kind, 'bounds', CLOUDS, stored=True)
            sample = sample if clouded is None else clouded(sample)
        sample |= _predicted(sample, *mapper, Rescale(kind.ranges))
    figure: Figure = dataset.plot(sample, suptitle=queries[index].scene)
    return figure


def _arguments(kind: type[SceneDataset], root: Path, spec: SceneSpec) -> dict[str, Any]:
    """Arguments with which a data set has the classes that a network knows.

    Returns:
        the arguments, by name.

    Raises:
        ValueError: if the network was trained on other data.
    """
    known = f'{len(spec.optical_bands)} optical and {len(spec.sar_bands)} SAR bands'
    found = f'{len(kind.all_bands)} optical and {len(kind.layers["image_sar"].bands)} SAR bands'
    try:
        if known == found:
            return kind.arguments_for(spec.num_classes)
    except ValueError as error:
        found = str(error)
    raise ValueError(
        f'{root}: found {kind.__name__} with {found}; the checkpoint knows {known} and '
        f'{spec.num_classes} classes. Give one that was trained on this data set.'
    )


@torch.no_grad()
def _predicted(
    sample: dict[str, Any], network: Network, spec: SceneSpec, rescale: Rescale
) -> dict[str, Any]:
    """Prediction and reconstruction of a scene, in stored units."""
    batch = rescale(collate([sample]))
    step = spec.label_scale.denominator
    logits, *images = slide_scenes(
        network, batch['image'], batch['image_sar'], tuple(sample['mask'].shape[-2:]),
        window=spec.window, stride=max(step, spec.window // 2 // step * step),
        label_scale=spec.label_scale, num_classes=spec.num_classes,
        reconstruct=network.config.reconstruct,
    )  # fmt: skip
    found = {'prediction': logits[0].argmax(dim=0)}
    if images:
        found['reconstruction'] = images[0][0]
    return rescale.inverse(found, {'reconstruction': 'image'})
