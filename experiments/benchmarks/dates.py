"""What a further, less cloudy date gives: mean IoU of maps of test scenes, by the dates they show.

    python experiments/benchmarks/dates.py --seeds 0 1 2 --output experiments/results/dates.json

Miniature M3M-CR, the same ground under two skies; a light student without a teacher, trained for
some minutes from random weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import seed_everything
from machine import measure_seeds

from torchgeo_cloudseg.cli.demo_run import BATCH_SIZE, LEARNING_RATE, train
from torchgeo_cloudseg.datamodules import M3MCRDataModule
from torchgeo_cloudseg.datasets.m3mcr.layout import LEGENDS
from torchgeo_cloudseg.inference import predict_scene
from torchgeo_cloudseg.metrics.confusion import confusion_scores, count_confusion
from torchgeo_cloudseg.miniature import write_miniature_m3mcr
from torchgeo_cloudseg.rasters import Image
from torchgeo_cloudseg.trainers import CloudSegStudentTask, load_mapper

LEGEND = LEGENDS['level1']
NAMES = [entry.name for entry in LEGEND]

#: Skies of the dates that a map shows.
MAPS = (('usual',), ('fair',), ('usual', 'fair'))


def stored(path: Path) -> np.ndarray:
    """The first band of a raster."""
    with closing(Image(path)) as image:
        return image.read([1], (0, image.grid.height))[0][0]


def confusion(classes: Path, label: Path) -> torch.Tensor:
    """Counts [label][prediction] of a map."""
    codes = stored(label)
    target = np.full(codes.shape, 255)
    for index, entry in enumerate(LEGEND):
        target[np.isin(codes, entry.codes)] = index
    sides = torch.from_numpy(stored(classes)).long()[None], torch.from_numpy(target)[None]
    clear = torch.zeros_like(sides[1], dtype=torch.bool)
    return count_confusion(*sides, clear, len(LEGEND), 255).sum(dim=(0, 1))


def measure(seed: int, steps: int, folder: Path, areas: int) -> dict[str, Any]:
    """Train on the usual sky, and map test scenes of one date and of two.

    Args:
        seed: seed of the landscape, the network and the patches.
        steps: training steps.
        folder: where to put the data, the checkpoint and the maps.
        areas: test areas of four scenes each.

    Returns:
        for each choice of dates the mean over scenes of their mean IoU, and that of all pixels.
    """
    seed_everything(seed, verbose=False)
    roots = {sky: folder / sky for sky in MAPS[-1]}
    write = partial(write_miniature_m3mcr, seed=seed, test_areas=areas, progress=False)
    write(roots['usual'])
    write(roots['fair'], train_areas=0, test_skies=('fair',))
    task = CloudSegStudentTask(
        architecture='lite', lr=LEARNING_RATE, schedule='cosine', residual=True,
        distillation_weight=0, num_classes=len(LEGEND), labels=NAMES,
    )  # fmt: skip
    load = partial(M3MCRDataModule, root=roots['usual'], batch_size=BATCH_SIZE, seed=seed)
    network, spec = load_mapper(train(task, load, steps, folder))
    scenes = sorted(roots['usual'].glob('test/planet_cloudy_*/*/*.tif'))
    found = {}
    for skies in MAPS:
        totals, scores = [], []
        for scene in scenes:
            layers = {
                kind: Path(str(scene).replace('planet_cloudy', kind))
                for kind in ('S1', 'landcover')
            }
            optical = [Path(str(scene).replace(str(roots['usual']), str(roots[s]))) for s in skies]
            output = folder / '_'.join(skies) / scene.name
            predict_scene(network, optical, layers['S1'], output, spec=spec, progress=False)
            totals.append(confusion(output, layers['landcover']))
            scores.append(confusion_scores(totals[-1], NAMES)['mIoU'])
        pooled = confusion_scores(torch.stack(totals).sum(dim=0), NAMES)['mIoU']
        found[' and '.join(skies)] = {'mean_of_scenes': float(np.mean(scores)), 'pooled': pooled}
    covers = {
        sky: float(
            np.mean([np.load(file).mean() for file in root.glob('test/cloudmask_*/*/*.npy')])
        )
        for sky, root in roots.items()
    }
    return {'scenes': len(scenes), 'cloud_cover': covers, 'mIoU': found}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--steps', type=int, default=300)
    parser.add_argument('--areas', type=int, default=3, help='test areas, of four scenes each')
    parser.add_argument('--output', type=Path)
    options = parser.parse_args(arguments)
    measure_seeds(
        partial(measure, areas=options.areas), options.seeds, options.steps, options.output
    )


if __name__ == '__main__':
    main()
