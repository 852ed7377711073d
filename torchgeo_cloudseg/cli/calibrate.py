"""``cloudseg calibrate``: how sure a network may be, found on the validation scenes."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser
from rich.console import Console
from rich.table import Column, Table

from .._files import writing
from ..datamodules import SceneDataModule
from ..models.calibration import OPACITY_EDGES
from ..models.weights import write_weights
from ..trainers import CalibrationFit, CloudSegTask
from ..trainers.checkpoint import CALIBRATION, read_checkpoint
from .lightning import EvaluationCLI


class CalibrationCLI(EvaluationCLI):
    """Lightning's command line for testing, on whole validation scenes, and for what follows."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Declare what is written.

        Args:
            parser: the parser of a subcommand.
        """
        parser.add_argument('--output', type=Path, help='checkpoint to write')
        parser.add_argument('--coverage', type=float, default=0.9)
        parser.add_argument('--opacity_edges', type=list[float], default=list(OPACITY_EDGES))
        parser.add_argument('--overwrite', type=bool, nargs='?', const=True, default=False)
        parser.add_argument('--wait', type=bool, nargs='?', const=True, default=False)

    def before_instantiate_classes(self) -> None:
        """Refuse to calibrate initial weights, or for nothing.

        Raises:
            ValueError: if there is no checkpoint or no output.
        """
        super().before_instantiate_classes()
        self.given = self.config[self.subcommand]
        if self.given.output is None:
            raise ValueError('found no output. Pass --output FILE, the checkpoint to write.')

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make a trainer that calibrates; its scores are no test's, and are logged nowhere.

        Args:
            **kwargs: arguments that overrule the configuration.

        Returns:
            the trainer.

        Raises:
            ValueError: if task or data module are not of this package.
        """
        if not (
            isinstance(self.model, CloudSegTask) and isinstance(self.datamodule, SceneDataModule)
        ):
            found = f'{type(self.model).__name__} and {type(self.datamodule).__name__}'
            raise ValueError(
                f'found {found}, expected a CloudSegTask and a SceneDataModule, which know opacity '
                'and whole validation scenes. Calibrate with tasks and data of this package.'
            )
        self.datamodule.whole_split = 'val'
        self.found = CalibrationFit(self.given.coverage, self.given.opacity_edges)
        trainer = super().instantiate_trainer(logger=False, **kwargs)
        trainer.callbacks.append(self.found)  # type: ignore[attr-defined]  # set by a connector
        return trainer

    def _run_subcommand(self, subcommand: str) -> None:
        """Test, and write what was found; the output is this run's from the beginning."""
        source, output = self.given.ckpt_path, self.given.output
        with writing([output], [source], self.given.overwrite, self.given.wait) as (draft,):
            super()._run_subcommand(subcommand)
            checkpoint = read_checkpoint(source)
            checkpoint[CALIBRATION] = asdict(self.found.calibration)
            write_weights(checkpoint, draft)
        Console().print(_table(self.found))
        sys.stdout.write(f'{output}: {source}, calibrated\n')


def _table(fit: CalibrationFit) -> Table:
    """What was found, for the terminal."""
    titles = ('pixels', 'temperature', 'ECE before, %', 'ECE, %', 'coverage, %', 'classes in a set')
    columns = (Column(title, justify='right') for title in titles)
    table = Table('', *columns, title=f'{100 * fit.coverage:g} % sets, on validation scenes')
    for row in fit.table():
        temperature = row['temperature']
        table.add_row(
            row['pixels of'],
            str(row['pixels']),
            '' if temperature is None else f'{temperature:.2f}',
            *(f'{100 * row[name]:.2f}' for name in ('ECE before', 'ECE', 'coverage')),
            f'{row["set_size"]:.2f}',
        )
    return table
