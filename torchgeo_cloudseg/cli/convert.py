"""``cloudseg convert``: the authors' weights as a checkpoint of our tasks."""

import logging
from pathlib import Path

from jsonargparse import auto_cli
from lightning.pytorch import Trainer
from rich.console import Console

from .._files import replacing
from ..models import load_reference_checkpoint
from ..trainers import CloudSegStudentTask, CloudSegTeacherTask


def run(name: str, args: list[str]) -> None:
    """Run the subcommand.

    Args:
        name: 'convert'.
        args: its arguments.
    """
    # of Lightning's hints none is about converting
    logging.getLogger('lightning.pytorch').setLevel(logging.WARNING)
    auto_cli(convert, args=args, prog=f'cloudseg {name}')


def convert(source: Path, target: Path) -> None:
    """Convert a network that the authors' code saved into a checkpoint of our tasks.

    Args:
        source: TeacherNet.pth or StudentNet.pth, or a checkpoint from training with that code.
        target: checkpoint to write, such as teacher.ckpt.
    """
    network = load_reference_checkpoint(source)
    config = network.config
    task_class = CloudSegStudentTask if config.reconstruct else CloudSegTeacherTask
    task = task_class(
        backbone=config.encoder, in_channels=config.in_channels, num_classes=config.num_classes
    )
    task.model.load_state_dict(network.state_dict())
    trainer = Trainer(
        accelerator='cpu', logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.strategy.connect(task)
    with replacing(target) as draft:
        trainer.save_checkpoint(draft, weights_only=True)
    kind = 'student' if config.reconstruct else 'teacher'
    Console().print(
        f'{target}: {kind}, {config.encoder}, {config.num_classes} classes, from {source}'
    )
