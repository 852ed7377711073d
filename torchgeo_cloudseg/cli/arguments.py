"""Calling the function of a subcommand with arguments from the command line."""

import inspect
from collections.abc import Callable
from typing import TypeVar

from jsonargparse import ArgumentParser
from jsonargparse.typing import extend_base_type

from ..datasets.registry import find_dataset

Result = TypeVar('Result')

#: Name of a data set that is known.
DatasetName = extend_base_type(
    'DatasetName', str, lambda _, name: find_dataset(name), docstring='Name of a data set.'
)


def call(
    function: Callable[..., Result],
    prog: str,
    args: list[str],
    flags: dict[str, str] | None = None,
    as_positional: bool = True,
) -> Result:
    """Parse a command line after the signature of a function, and call the function.

    Args:
        function: the function; its docstring is the help.
        prog: name of the command, for the help.
        args: the command line.
        flags: parameters that are off unless they are named (``--quick``), with their help.
            Without this, jsonargparse wants ``--quick true``.
        as_positional: parameters without default are given by their place, not by name.

    Returns:
        what the function returns.
    """
    flags = flags or {}
    summary = (inspect.getdoc(function) or '').partition('\n')[0]
    parser = ArgumentParser(prog=prog, description=summary)
    parser.add_function_arguments(
        function, as_group=False, as_positional=as_positional, skip=set(flags)
    )
    for name, text in flags.items():
        parser.add_argument(f'--{name}', action='store_true', help=text)
    return function(**parser.parse_args(args).as_dict())
