"""``cloudseg plot``: a quick look at a map or a sample."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import matplotlib
import torch
from jsonargparse import auto_cli
from matplotlib.figure import Figure
from rich.console import Console

from ..datamodules.batch_reader import collate
from ..datamodules.whuoptsar import sky
from ..datasets import M3MCR, WHUOPTSAR, ZonedDataset
from ..datasets.m3mcr_layout import LEGENDS
from ..datasets.scene_spec import Range, SceneSpec
from ..inference.scenes.quicklook import map_figure
from ..inference.windows.network import slide_scenes
from ..models import CloudSegNet
from ..samplers import CenterSceneSampler
from ..trainers import load_mapper
from ..transforms import Rescale
from .demo_report import save_figure

PlottedDataset = WHUOPTSAR | ZonedDataset

#: A network and what it expects of a scene.
Mapper = tuple[CloudSegNet, SceneSpec]

#: Longest side of a sample, in pixels.
LARGEST_PX = 1024


def run(name: str, args: list[str]) -> None:
    """Run the subcommand.

    Args:
        name: 'plot'.
        args: its arguments.
    """
    auto_cli(plot, args=args, prog=f'cloudseg {name}')


def plot(
    source: Path,
    output: Path,
    split: Literal['train', 'val', 'test'] = 'test',
    index: int = 0,
    checkpoint: Path | None = None,
    dataset: Literal['m3mcr', 'whuoptsar'] | None = None,
) -> None:
    """Save a picture of a map, or of a sample of a data set.

    Args:
        source: map written by `cloudseg map`, or root directory of a data set.
        output: PNG file to write.
        split: split of the data set.
        index: which of its scenes, from 0.
        checkpoint: also show what this teacher or student makes of the scene.
        dataset: which data set it is (defaults to what the folders look like).
    """
    matplotlib.use('Agg')
    if not source.exists():
        raise FileNotFoundError(f'{source}: no such file or folder. Check the path.')
    if output.suffix.lower() != '.png':
        raise ValueError(f'{output}: a picture is a PNG file; give it a name that ends in .png.')
    if source.is_dir():
        mapper = None if checkpoint is None else load_mapper(checkpoint)
        figure = _sample_figure(_dataset(source, split, dataset, mapper), index, mapper)
    else:
        figure = map_figure(source)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, output)
    Console().print(f'Written to {output}.', soft_wrap=True, markup=False, highlight=False)


def _dataset(
    root: Path, split: Literal['train', 'val', 'test'], name: str | None, mapper: Mapper | None
) -> PlottedDataset:
    """The data set of a folder, with the classes that a network knows."""
    if name is None:
        name = 'whuoptsar' if (root / 'lbl').is_dir() else 'm3mcr'
    if name == 'whuoptsar':
        sheets = WHUOPTSAR(root, split)
        _check(root, mapper, sheets, [len(WHUOPTSAR.legend)])
        return sheets
    levels = {len(legend): level for level, legend in LEGENDS.items()}
    _check(root, mapper, M3MCR, list(levels))
    level = 'level1' if mapper is None else levels[mapper[1].num_classes]
    return M3MCR.zoned(root, split=split, classes=level)


def _check(
    root: Path, mapper: Mapper | None, dataset: type[M3MCR] | WHUOPTSAR, classes: list[int]
) -> None:
    """Refuse a network that was trained on other data."""
    if mapper is None:
        return
    known, count = mapper[0].config.in_channels, mapper[1].num_classes
    bands = len(dataset.all_bands), len(dataset.layers['image_sar'].bands)
    if known != bands or count not in classes:
        name = (dataset if isinstance(dataset, type) else type(dataset)).__name__
        raise ValueError(
            f'{root}: found {name} with {bands[0]} optical and {bands[1]} SAR bands '
            f'and {" or ".join(map(str, classes))} classes, expected {known[0]}, {known[1]} and '
            f'{count}, which the checkpoint knows. Give one that was trained on this data set.'
        )


def _sample_figure(dataset: PlottedDataset, index: int, mapper: Mapper | None) -> Figure:
    """A scene, or its middle if it is large, and what a network makes of it."""
    whole = CenterSceneSampler(dataset)
    large = max(whole.size_of(0)) > LARGEST_PX
    places = list(CenterSceneSampler(dataset, LARGEST_PX) if large else whole)
    if not 0 <= index < len(places):
        last = len(places) - 1
        raise ValueError(f'index={index}: expected 0 to {last}, the scenes of the split.')
    sample = dataset[places[index]]
    if mapper is not None:
        kind = WHUOPTSAR if isinstance(dataset, WHUOPTSAR) else M3MCR
        if kind is WHUOPTSAR and mapper[0].config.reconstruct:
            # a student is shown what it is tested on
            low, high = kind.ranges['image']
            sample = sky('bounds', data_range=(low[0], high[0]))(sample)
        sample |= _predicted(sample, *mapper, kind.ranges)
    figure: Figure = dataset.plot(sample, suptitle=places[index].scene)
    return figure


@torch.no_grad()
def _predicted(
    sample: dict[str, Any], network: CloudSegNet, spec: SceneSpec, ranges: Mapping[str, Range]
) -> dict[str, Any]:
    """Prediction and reconstruction of a scene, in stored units."""
    rescale = Rescale(ranges)
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
