"""``cloudseg convert``: the authors' weights, or what a checkpoint does not state."""

import sys
from pathlib import Path
from typing import Any

from .._files import writing


def convert(
    source: Path,
    target: Path,
    dataset: str | None = None,
    facts: dict[str, Any] | None = None,
    overwrite: bool = False,
    wait: bool = False,
) -> None:
    """Convert the authors' weights into a checkpoint of our tasks, or state facts in a checkpoint.

    Args:
        source: TeacherNet.pth or StudentNet.pth, a checkpoint from training with that code, or one
            of our tasks.
        target: checkpoint to write, such as teacher.ckpt.
        dataset: data set that the network was trained on, such as m3mcr or whuoptsar: its bands,
            ranges, classes and colors are written into the checkpoint; maps need them.
        facts: the same of any other data, as --facts.class-names '[forest, water]',
            --facts.class-colors '[[0, 99, 0], [0, 0, 99]]', --facts.optical-bands '[1, 2, 3]',
            --facts.optical-range '[[0], [10000]]' and so on.
        overwrite: replace a file that exists.
        wait: wait for another run that writes the same file, rather than refuse.

    Examples:
        The files as the authors released them::

            cloudseg convert TeacherNet.pth teacher.ckpt --dataset m3mcr
            cloudseg convert StudentNet.pth student.ckpt --dataset m3mcr
    """
    from ..models.weights import write_weights
    from ..trainers.arguments import task_arguments
    from ..trainers.checkpoint import SCENE_SPEC
    from .conversion import converted

    with writing([target], [source], overwrite, wait) as (draft,):
        checkpoint = converted(source, dataset, facts or {})
        write_weights(checkpoint, draft)
    hparams = task_arguments(checkpoint)
    kind = 'student' if 'reconstruction_weight' in hparams else 'teacher'
    title = f'{kind}, {hparams["backbone"]}, {hparams["num_classes"]} classes'
    sys.stdout.write(f'{target}: {title}, from {source}\n')
    if SCENE_SPEC not in checkpoint:
        hint = 'convert it with --dataset NAME, or --facts.class-names and so on'
        sys.stdout.write(f'For maps, {hint}.\n')
