"""``cloudseg fit|validate|test|predict``: TorchGeo's command line with our classes by name."""

import os
import warnings
from typing import Any

from lightning.pytorch.cli import LightningCLI, SaveConfigCallback
from torchgeo.datamodules import BaseDataModule

# imported for their classes: jsonargparse finds by name only what is loaded
from .. import __version__, datamodules, trainers  # noqa: F401
from .._compat import BaseTask

#: Listing a folder of thousands of files at every open costs more than the read itself.
RASTERIO_DEFAULTS = {'GDAL_DISABLE_READDIR_ON_OPEN': 'EMPTY_DIR'}


def run(name: str, args: list[str]) -> None:
    """Run a subcommand of Lightning.

    Args:
        name: 'fit', 'validate', 'test' or 'predict'.
        args: its arguments.
    """
    os.environ.update(RASTERIO_DEFAULTS)
    callbacks: list[Any] = []
    if name == 'test':
        callbacks = [trainers.RegionReport()]
        # its table instead of Lightning's, which lists the same numbers without order
        args = [*args, '--verbose=false']
    # it suspects a mistake where a process has arguments of its own, as ours has
    warnings.filterwarnings('ignore', message="LightningCLI's args parameter")
    LightningCLI(
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
        args=[name, *args],
    )
