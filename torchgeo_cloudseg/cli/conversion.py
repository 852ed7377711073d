"""Checkpoints of our tasks from the authors' weights, or with facts that they did not state."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..datasets.registry import find_dataset
from ..datasets.scene_spec import spec_to_dict
from ..models import load_reference_checkpoint
from ..models.reference import NETWORK
from ..models.weights import read_weights
from ..trainers import CloudSegStudentTask, CloudSegTeacherTask
from ..trainers.arguments import keep_arguments, task_arguments
from ..trainers.checkpoint import SCENE_SPEC, read_checkpoint, scene_facts


def converted(source: Path, dataset: str | None, facts: dict[str, Any]) -> dict[str, Any]:
    """Make a checkpoint of a task, with what is stated of its data.

    Args:
        source: the authors' file, or a checkpoint.
        dataset: name of the data set, or None.
        facts: fields of a :class:`~torchgeo_cloudseg.datasets.SceneSpec`, instead of or beside it.

    Returns:
        what to save.
    """
    content = read_weights(source)
    released = isinstance(content, dict) and NETWORK in content
    checkpoint = _released(source) if released else read_checkpoint(source)
    hparams = task_arguments(checkpoint)
    if dataset or facts:
        count = hparams['num_classes']
        stated = find_dataset(dataset).published_spec(count) if dataset else None
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
