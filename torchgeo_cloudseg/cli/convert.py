"""``cloudseg convert``: the authors' weights, or what a checkpoint does not state."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .._files import writing
from ..datasets.registry import find_dataset
from ..datasets.scene_spec import spec_to_dict
from ..models import load_reference_checkpoint
from ..models.reference import NETWORK
from ..models.weights import read_weights, write_weights
from ..trainers import CloudSegStudentTask, CloudSegTeacherTask
from ..trainers.arguments import keep_arguments, task_arguments
from ..trainers.checkpoint import SCENE_SPEC, read_checkpoint, scene_facts


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
        facts: the same of any other data, as --facts.class_names '[forest, water]',
            --facts.class_colors '[[0, 99, 0], [0, 0, 99]]', --facts.optical_bands '[1, 2, 3]',
            --facts.optical_range '[[0], [10000]]' and so on.
        overwrite: replace a file that exists.
        wait: wait for another run that writes the same file, rather than refuse.
    """
    with writing([target], [source], overwrite, wait) as (draft,):
        checkpoint = _converted(source, dataset, facts or {})
        write_weights(checkpoint, draft)
    hparams = task_arguments(checkpoint)
    kind = 'student' if 'reconstruction_weight' in hparams else 'teacher'
    title = f'{kind}, {hparams["backbone"]}, {hparams["num_classes"]} classes'
    sys.stdout.write(f'{target}: {title}, from {source}\n')
    if SCENE_SPEC not in checkpoint:
        hint = 'convert it with --dataset NAME, or --facts.class_names and so on'
        sys.stdout.write(f'For maps, {hint}.\n')


def _converted(source: Path, dataset: str | None, facts: dict[str, Any]) -> dict[str, Any]:
    """Checkpoint of a task, with what is stated of its data."""
    content = read_weights(source)
    released = isinstance(content, dict) and NETWORK in content
    checkpoint = _released(source) if released else read_checkpoint(source)
    hparams = task_arguments(checkpoint)
    if dataset or facts:
        count = hparams['num_classes']
        stated = find_dataset(dataset).published_spec(count) if dataset else None
        if released and stated:
            hparams['label_scale'] = float(stated.label_scale)
        checkpoint[SCENE_SPEC] = spec_to_dict(scene_facts(hparams, stated, **facts))
    keep_arguments(checkpoint, hparams)
    return checkpoint


def _released(source: Path) -> dict[str, Any]:
    """Checkpoint of a task with the authors' weights."""
    network = load_reference_checkpoint(source)
    config = network.config
    task_class = CloudSegStudentTask if config.reconstruct else CloudSegTeacherTask
    task = task_class(
        backbone=config.encoder, in_channels=config.in_channels, num_classes=config.num_classes
    )
    task.model.load_state_dict(network.state_dict())
    checkpoint = {
        'state_dict': task.state_dict(),
        'epoch': 0,
        'global_step': 0,
        'pytorch-lightning_version': version('lightning'),
    }
    task.on_save_checkpoint(checkpoint)
    return checkpoint
