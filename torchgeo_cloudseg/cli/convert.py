"""``cloudseg convert``: the authors' weights, or what a checkpoint does not state."""

import logging
from pathlib import Path
from typing import Any

import torch
from jsonargparse import auto_cli
from lightning.pytorch import Trainer
from rich.console import Console

from .._files import replacing
from ..datasets.scene_spec import SceneSpec, spec_to_dict
from ..models import CloudSegNet, load_reference_checkpoint
from ..models.reference import NETWORK
from ..models.state_files import read_weights
from ..trainers import CloudSegStudentTask, CloudSegTask, CloudSegTeacherTask
from ..trainers.checkpoint import SCENE_SPEC, read_checkpoint, scene_facts
from ..trainers.facts import published_facts


def run(name: str, args: list[str]) -> None:
    """Run the subcommand.

    Args:
        name: 'convert'.
        args: its arguments.
    """
    # of Lightning's hints none is about converting
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    auto_cli(convert, args=args, prog=f'cloudseg {name}')


def convert(
    source: Path, target: Path, dataset: str | None = None, facts: dict[str, Any] | None = None
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
    """
    content = read_weights(source)
    stated = task = None
    if isinstance(content, dict) and NETWORK in content:
        network = load_reference_checkpoint(source)
        if dataset is not None:
            stated = published_facts(dataset, network.config.num_classes)
        task = _task(network, stated)
        hparams = dict(task.hparams)
    else:
        content = read_checkpoint(source)
        hparams = content['hyper_parameters']
        if dataset is not None:
            stated = published_facts(dataset, hparams['num_classes'])
    spec = scene_facts(hparams, stated, **facts or {}) if stated or facts else None
    with replacing(target) as draft:
        if task is None:
            torch.save(
                content if spec is None else {**content, SCENE_SPEC: spec_to_dict(spec)}, draft
            )
        else:
            task.scene_spec = spec
            trainer = Trainer(
                accelerator='cpu',
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.strategy.connect(task)
            trainer.save_checkpoint(draft, weights_only=True)
    console = Console()
    kind = 'student' if 'reconstruction_weight' in hparams else 'teacher'
    console.print(
        f'{target}: {kind}, {hparams["backbone"]}, {hparams["num_classes"]} classes, from {source}'
    )
    if spec is None:
        console.print('For maps, convert it with --dataset NAME, or --facts.class_names and so on.')


def _task(network: CloudSegNet, stated: SceneSpec | None) -> CloudSegTask:
    """A task with the authors' weights."""
    config = network.config
    task_class = CloudSegStudentTask if config.reconstruct else CloudSegTeacherTask
    task = task_class(
        backbone=config.encoder,
        in_channels=config.in_channels,
        num_classes=config.num_classes,
        label_scale=0.3 if stated is None else float(stated.label_scale),
    )
    task.model.load_state_dict(network.state_dict())
    return task
