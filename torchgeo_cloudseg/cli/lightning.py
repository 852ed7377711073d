"""Commands of a trainer: TorchGeo's command line with our classes by name."""

import json
import warnings
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import (
    ArgsType,
    LightningArgumentParser,
    LightningCLI,
    SaveConfigCallback,
)
from torchgeo.datamodules import BaseDataModule

# imported for their classes: jsonargparse finds by name only what is loaded
from .. import __version__, datamodules, trainers  # noqa: F401
from .._compat import BaseTask
from ..trainers.arguments import refuse_contradictions, task_arguments
from ..trainers.checkpoint import read_checkpoint
from ..trainers.checkpoint_io import read_plain

#: What a configuration without callbacks gets: the best checkpoint, and one to carry on from.
CHECKPOINTS = 'lightning.pytorch.callbacks.ModelCheckpoint'
BEST = {'filename': 'best', 'monitor': 'val_mIoU', 'mode': 'max'}
LAST = {'filename': 'last', 'enable_version_counter': False, 'save_on_exception': True}
TRAINING_CALLBACKS: list[dict[str, Any]] = [
    {'class_path': CHECKPOINTS, 'init_args': BEST},
    {'class_path': CHECKPOINTS, 'init_args': LAST},
    {'class_path': 'torchgeo_cloudseg.trainers.InterruptAfterStep'},
]


#: Checkpoints that Lightning finds by itself.
FOUND_BY_LIGHTNING = ('best', 'last', 'hpc')


class CheckpointCLI(LightningCLI):
    """Lightning's command line, in which a checkpoint does not overrule the user.

    What belongs to the network comes from the checkpoint and is not contradicted. What belongs to
    the run comes from the user where given, else from the checkpoint.
    """

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, with a bar where somebody watches, unless the user says otherwise.

        Args:
            **kwargs: arguments that overrule the configuration, in which this is not written.

        Returns:
            the trainer.
        """
        if self.config[self.subcommand].trainer.enable_progress_bar is None:
            kwargs['enable_progress_bar'] = trainers.watched()['enable_progress_bar']
        return super().instantiate_trainer(**kwargs)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse arguments, those of a checkpoint before the user's.

        Args:
            parser: the parser.
            args: the command line, from the subcommand on.

        Raises:
            FileNotFoundError: if there is no such checkpoint.
            ValueError: if it could run code, or holds another network than the user describes.
        """
        super().parse_arguments(parser, args)
        given = self.config[self.config.subcommand]
        path, model = given.ckpt_path, given.model
        if not path or path in FOUND_BY_LIGHTNING or not isinstance(args, list):
            return
        if Path(path).is_dir():  # of a sharded training
            return
        if not issubclass(resolve_name(model.class_path), trainers.CloudSegTask):
            read_plain(path)  # whatever the task, nothing in it may be run
            return
        stored = task_arguments(read_checkpoint(path))
        known = {name: value for name, value in stored.items() if name in model.init_args}
        first = json.dumps({'class_path': model.class_path, 'init_args': known})
        # a trained network needs no initial weights
        args = [args[0], f'--model={first}', *args[1:], '--model.weights=null']
        super().parse_arguments(parser, args)
        model = self.config[self.config.subcommand].model
        refuse_contradictions({**stored, **model.init_args.as_dict()}, stored, path)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would set the checkpoint's arguments over the user's."""


class TrainingCLI(CheckpointCLI):
    """Lightning's command line, with checkpoints even where the configuration names none."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Declare the callbacks, which a configuration or the command line may replace.

        Args:
            parser: the parser of a subcommand.
        """
        parser.set_defaults({'trainer.callbacks': TRAINING_CALLBACKS})

    def before_instantiate_classes(self) -> None:
        """Leave checkpoints out where the trainer is told to."""
        trainer = self.config[self.subcommand].trainer
        if trainer.enable_checkpointing is False or trainer.barebones:
            callbacks = trainer.callbacks or []
            trainer.callbacks = [c for c in callbacks if c.class_path != CHECKPOINTS] or None


class EvaluationCLI(CheckpointCLI):
    """Lightning's command line for a network that has been trained."""

    def before_instantiate_classes(self) -> None:
        """Refuse to evaluate initial weights.

        Raises:
            ValueError: if there is no checkpoint.
        """
        if self.config[self.subcommand].ckpt_path is None:
            raise ValueError(
                'found no checkpoint: without one, the network has its initial weights, and what '
                'it says means nothing. Pass --ckpt_path FILE.'
            )


def run(name: str, args: list[str]) -> None:
    """Run a subcommand of Lightning.

    Args:
        name: 'fit', 'validate', 'calibrate', 'test' or 'predict'.
        args: its arguments.

    Raises:
        ValueError: if Lightning says that the arguments do not go together.
    """
    callbacks: list[Any] = trainers.watched()['callbacks']
    cli, subcommand = TrainingCLI if name == 'fit' else EvaluationCLI, name
    if name == 'test':
        callbacks.append(trainers.RegionReport())
    elif name == 'calibrate':
        from .calibrate import CalibrationCLI  # which builds on this module

        cli, subcommand = CalibrationCLI, 'test'
    if subcommand == 'test':
        # its table instead of Lightning's, which lists the same numbers without order
        args = [*args, '--verbose=false']
    # it suspects a mistake where a process has arguments of its own, as ours has
    warnings.filterwarnings('ignore', message="LightningCLI's args parameter")
    try:
        cli(
            model_class=BaseTask,
            datamodule_class=BaseDataModule,
            seed_everything_default=0,
            parser_kwargs={'version': __version__},
            subclass_mode_model=True,
            subclass_mode_data=True,
            # what is not training leaves nothing to be repeated
            save_config_callback=SaveConfigCallback if name == 'fit' else None,
            save_config_kwargs={'overwrite': True},
            trainer_defaults={'callbacks': callbacks} if callbacks else None,
            args=[subcommand, *args],
        )
    except MisconfigurationException as error:
        # Lightning's own words for arguments that do not go together
        raise ValueError(str(error)) from error
