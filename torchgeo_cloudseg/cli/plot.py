"""``cloudseg plot``: a quick look at a map or a sample."""

from pathlib import Path
from typing import Any, Literal

import matplotlib
import torch
from jsonargparse import auto_cli
from matplotlib.figure import Figure
from rich.console import Console

from ..datamodules.batch_reader import collate
from ..datasets import M3MCR, WHUOPTSAR, ZonedDataset
from ..inference.quicklook import map_figure
from ..samplers import CenterSceneSampler
from ..trainers import load_mapper
from ..transforms import Rescale
from .demo_report import save_figure

PlottedDataset = WHUOPTSAR | ZonedDataset

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
    if source.is_dir():
        figure = _sample_figure(_dataset(source, split, dataset), index, checkpoint)
    else:
        figure = map_figure(source)
    save_figure(figure, output)
    Console().print(f'Written to {output}.', soft_wrap=True, markup=False, highlight=False)


def _dataset(
    root: Path, split: Literal['train', 'val', 'test'], name: str | None
) -> PlottedDataset:
    """The data set of a folder."""
    if name is None:
        name = 'whuoptsar' if (root / 'lbl').is_dir() else 'm3mcr'
    return WHUOPTSAR(root, split) if name == 'whuoptsar' else M3MCR.zoned(root, split=split)


def _sample_figure(dataset: PlottedDataset, index: int, checkpoint: Path | None) -> Figure:
    """A scene, or its middle if it is large, and what a network makes of it."""
    whole = CenterSceneSampler(dataset)
    large = max(whole.size_of(0)) > LARGEST_PX
    places = list(CenterSceneSampler(dataset, LARGEST_PX) if large else whole)
    if not 0 <= index < len(places):
        last = len(places) - 1
        raise ValueError(f'index={index}: expected 0 to {last}, the scenes of the split.')
    sample = dataset[places[index]]
    if checkpoint is not None:
        sample |= _predicted(sample, checkpoint)
    figure: Figure = dataset.plot(sample, suptitle=places[index].scene)
    return figure


@torch.no_grad()
def _predicted(sample: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    """Prediction and reconstruction of a scene, in stored units."""
    network, _ = load_mapper(checkpoint)
    rescale = Rescale((M3MCR if 'mask_cloud' in sample else WHUOPTSAR).ranges)
    batch = rescale(collate([sample]))
    output = network(batch['image'], batch['image_sar'], sample['mask'].shape[-2:])
    found = {'prediction': output.logits[0].argmax(dim=0)}
    if output.reconstruction is not None:
        found['reconstruction'] = output.reconstruction[0]
    return rescale.inverse(found, {'reconstruction': 'image'})
