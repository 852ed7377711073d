"""Types of arguments that several subcommands have."""

from jsonargparse.typing import extend_base_type


def _check_dataset(_: object, name: str) -> None:
    from ..datasets.registry import find_dataset

    find_dataset(name)


#: Name of a data set that is known.
DatasetName = extend_base_type('DatasetName', str, _check_dataset, docstring='Name of a data set.')
