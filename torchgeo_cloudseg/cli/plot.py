"""``cloudseg plot``: a quick look at a map or a sample."""

import sys
from pathlib import Path
from typing import Any, Literal

import matplotlib
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from .._files import check_outputs, writing
from ..datamodules.collate import collate
from ..datamodules.sky import sky
from ..datasets import SceneDataset, SceneSpec, recognize_dataset
from ..inference.scenes.quicklook import map_figure
from ..inference.windows.network import slide_scenes
from ..models import CloudSegNet
from ..samplers import CenterSceneSampler
from ..trainers import load_mapper
from ..transforms import Rescale
from .arguments import DatasetName

#: A network and what it expects of a scene.
Mapper = tuple[CloudSegNet, SceneSpec]

#: Longest side of a sample, in pixels.
LARGEST_PX = 1024

#: Clouds on data sets that have none, for a student.
CLOUDS = 'm3mcr'


def plot(
    source: Path,
    output: Path,
    split: Literal['train', 'val', 'test'] = 'test',
    index: int = 0,
    checkpoint: Path | None = None,
    dataset: DatasetName | None = None,
    overwrite: bool = False,
    wait: bool = False,
) -> None:
    """Save a picture of a map, or of a sample of a data set.

    Args:
        source: map written by `cloudseg map`, or root directory of a data set.
        output: picture to write, such as look.png.
        split: split of the data set.
        index: which of its scenes, from 0.
        checkpoint: also show what this teacher or student makes of the scene.
        dataset: which data set it is (defaults to what the folders look like).
        overwrite: replace a file that exists.
        wait: wait for another run that writes the same file, rather than refuse.
    """
    matplotlib.use('Agg')
    inputs = [path for path in (source, checkpoint) if path is not None]
    check_outputs([output], inputs, overwrite)
    if source.is_dir():
        mapper = None if checkpoint is None else load_mapper(checkpoint)
        figure = _sample_figure(recognize_dataset(source, dataset), source, split, index, mapper)
    else:
        figure = map_figure(source)
    output.parent.mkdir(parents=True, exist_ok=True)
    with writing([output], inputs, overwrite, wait) as (draft,):
        figure.savefig(draft, dpi=90)
    plt.close(figure)
    sys.stdout.write(f'Written to {output}.\n')


def _sample_figure(
    kind: type[SceneDataset], root: Path, split: str, index: int, mapper: Mapper | None
) -> Figure:
    """A scene, or its middle if it is large, and what a network makes of it."""
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
    sample: dict[str, Any], network: CloudSegNet, spec: SceneSpec, rescale: Rescale
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
