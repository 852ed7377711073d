"""Types of arguments that several subcommands have."""

from jsonargparse.typing import extend_base_type

from ..datasets.registry import find_dataset

#: Name of a data set that is known.
DatasetName = extend_base_type(
    'DatasetName', str, lambda _, name: find_dataset(name), docstring='Name of a data set.'
)
