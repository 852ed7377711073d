"""A sample of a data set as a figure, with what a network makes of it."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from ..datamodules.collate import collate
from ..datamodules.sky import sky
from ..datasets import SceneDataset, SceneSpec, ZonedDataset, recognize_dataset
from ..inference.windows.network import slide_scenes
from ..models import Network
from ..rasters import size_at
from ..samplers import CenterSceneSampler
from ..transforms import Rescale
from .configured import SUFFIXES, read_data

#: A network and what it expects of a scene.
Mapper = tuple[Network, SceneSpec]

#: Longest side of a sample, in pixels.
LARGEST_PX = 1024

#: Clouds on data sets that have none, for a student.
CLOUDS = 'm3mcr'


def open_dataset(
    source: Path, name: str | None, split: str, spec: SceneSpec | None
) -> ZonedDataset | SceneDataset:
    """A split of a data set, with the classes that a network knows.

    Args:
        source: its root directory, or a configuration with a section ``data``.
        name: its name (defaults to what the folders look like).
        split: the split.
        spec: what the network expects of a scene.

    Returns:
        the data set.

    Raises:
        ValueError: if the network was trained on other data.
    """
    if source.suffix in SUFFIXES:
        dataset = read_data(source).make_dataset(split)
    else:
        kind = recognize_dataset(source, name)
        arguments: dict[str, Any] = {}
        if spec is not None:
            with suppress(ValueError):  # no legend of so many classes: refused below
                arguments = kind.arguments_for(spec.num_classes)
        dataset = kind.zoned(source, split=split, **arguments)
    if spec is not None and _kinds(spec) != _kinds(dataset.scene_spec()):
        raise ValueError(
            f'{source}: found {_kinds(dataset.scene_spec())}; the checkpoint knows {_kinds(spec)}. '
            'Give one that was trained on this data set.'
        )
    return dataset


def _kinds(spec: SceneSpec) -> str:
    bands = f'{len(spec.optical_bands)} optical and {len(spec.sar_bands)} SAR bands'
    return f'{bands} and {spec.num_classes} classes'


def sample_figure(
    dataset: ZonedDataset | SceneDataset, index: int, mapper: Mapper | None
) -> Figure:
    """Draw a scene, or its middle if it is large, and what a network makes of it.

    Args:
        dataset: the data set.
        index: which of its scenes, from 0.
        mapper: a network and what it expects of a scene.

    Returns:
        the figure.

    Raises:
        ValueError: if there is no such scene.
    """
    whole = CenterSceneSampler(dataset)
    large = whole.patches()[['height', 'width']].iloc[0].max() > LARGEST_PX
    queries = list(CenterSceneSampler(dataset, LARGEST_PX) if large else whole)
    if not 0 <= index < len(queries):
        last = len(queries) - 1
        raise ValueError(f'index={index}: expected 0 to {last}, the scenes of the split.')
    sample = dataset[queries[index]]
    if mapper is not None:
        facts: Any = next(iter(getattr(dataset, 'zone_datasets', [dataset])))
        if 'image_clear' not in facts.layers and mapper[0].config.reconstruct:
            # a student is shown what it is tested on
            clouded = sky(facts, 'bounds', CLOUDS, stored=True)
            sample = sample if clouded is None else clouded(sample)
        sample |= _predicted(sample, *mapper, Rescale(facts.ranges))
    figure: Figure = dataset.plot(sample, suptitle=queries[index].scene)
    return figure


@torch.no_grad()
def _predicted(
    sample: dict[str, Any], network: Network, spec: SceneSpec, rescale: Rescale
) -> dict[str, Any]:
    """Prediction and reconstruction of a scene, in stored units."""
    batch = rescale(collate([sample]))
    step = spec.label_scale.denominator
    optical, sar = batch.get('image', batch.get('image_clear')), batch.get('image_sar')
    height, width = next(image.shape[-2:] for image in (optical, sar) if image is not None)
    if optical is None:  # the network does not look at it
        optical = torch.zeros(1, len(spec.optical_bands), height, width)
    if sar is None:
        sar = torch.zeros(1, len(spec.sar_bands), height, width)
    labels = size_at(height, spec.label_scale), size_at(width, spec.label_scale)
    logits, *images = slide_scenes(
        network, optical, sar, labels,
        window=spec.window, stride=max(step, spec.window // 2 // step * step),
        label_scale=spec.label_scale, num_classes=spec.num_classes,
        reconstruct=network.config.reconstruct,
    )  # fmt: skip
    found = {'prediction': logits[0].argmax(dim=0)}
    if images:
        found['reconstruction'] = images[0][0]
    return rescale.inverse(found, {'reconstruction': 'image'})
