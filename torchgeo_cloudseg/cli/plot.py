"""``cloudseg plot``: a quick look at a map or a sample."""

import sys
from pathlib import Path
from typing import Literal

from .._files import check_outputs, writing
from .arguments import DatasetName


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
        source: map written by `cloudseg map`, root directory of a data set, or configuration
            (.yaml) such as `cloudseg inspect` writes.
        output: picture to write, such as look.png.
        split: split of the data set.
        index: which of its scenes, from 0.
        checkpoint: also show what this teacher or student makes of the scene.
        dataset: which data set it is (defaults to what the folders look like).
        overwrite: replace a file that exists.
        wait: wait for another run that writes the same file, rather than refuse.

    Examples:
        A map; the first test scene of a data set, and what a student makes of it; a training
        scene of your own images::

            cloudseg plot map.tif map.png
            cloudseg plot /data/M3M-CR scene.png --checkpoint student.ckpt
            cloudseg plot mine.yaml scene.png --split train
    """
    import matplotlib
    import matplotlib.pyplot as plt

    from ..inference.scenes.quicklook import map_figure
    from ..trainers import load_mapper
    from .configured import SUFFIXES
    from .sample_figure import open_dataset, sample_figure

    matplotlib.use('Agg')
    inputs = [path for path in (source, checkpoint) if path is not None]
    check_outputs([output], inputs, overwrite)
    if source.is_dir() or source.suffix in SUFFIXES:
        mapper = None if checkpoint is None else load_mapper(checkpoint)
        spec = None if mapper is None else mapper[1]
        figure = sample_figure(open_dataset(source, dataset, split, spec), index, mapper)
    else:
        figure = map_figure(source)
    output.parent.mkdir(parents=True, exist_ok=True)
    with writing([output], inputs, overwrite, wait) as (draft,):
        figure.savefig(draft, dpi=90)
    plt.close(figure)
    sys.stdout.write(f'Written to {output}.\n')
