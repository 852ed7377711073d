"""The data of a configuration, as commands other than training look at them."""

from argparse import ArgumentError
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser

from ..datamodules import SceneDataModule, SceneFolderDataModule

#: Endings of configurations.
SUFFIXES = ('.yaml', '.yml')

#: Class of data modules of folders of images.
FOLDER = f'{SceneFolderDataModule.__module__}.{SceneFolderDataModule.__name__}'


def read_data(path: Path) -> SceneDataModule:
    """The data module that a configuration describes.

    Args:
        path: YAML file with a section ``data``, as ``cloudseg inspect`` writes it; without a class,
            of a folder of images.

    Returns:
        the data module.

    Raises:
        ValueError: if there is none, or its arguments contradict each other.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(SceneDataModule, 'data', fail_untyped=False, required=True)
    try:
        given: Any = yaml.safe_load(path.read_text())
        parsed = parser.parse_object({'data': {'class_path': FOLDER, **given['data']}})
    except (yaml.YAMLError, KeyError, TypeError, ArgumentError) as error:
        raise ValueError(
            f'{path}: found no declaration of data ({error}), expected `data` with the class and '
            'the arguments of a data module, as `cloudseg inspect` writes them.'
        ) from error
    module: SceneDataModule = parser.instantiate_classes(parsed).data
    return module
