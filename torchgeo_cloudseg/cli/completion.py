"""``cloudseg completion``: tab completion of commands, options, choices and files."""

from __future__ import annotations

import argparse
import sys
from pkgutil import resolve_name
from typing import Any, Literal

import shtab

from .configs import config_names
from .parsing import help_parser


def completion(shell: Literal['bash', 'zsh', 'tcsh']) -> None:
    """Print a script that completes commands, options and their values in your shell.

    Args:
        shell: yours.

    Examples:
        For bash, in this terminal and in all others::

            eval "$(cloudseg completion bash)"
            cloudseg completion bash > ~/.local/share/bash-completion/completions/cloudseg

        For zsh::

            cloudseg completion zsh > ~/.zfunc/_cloudseg
    """
    sys.stdout.write(shtab.complete(tree(), shell) + '\n')


def tree() -> argparse.ArgumentParser:
    """All commands with their options, as a parser that only tells."""
    from . import COMMANDS, LIGHTNING, MANNERS

    parser = argparse.ArgumentParser('cloudseg')
    parser.add_argument('--version', action='store_true', help='show versions')
    for options in MANNERS.values():
        parser.add_argument(*options, action='store_true')
    commands = parser.add_subparsers(dest='command')
    for name, command in COMMANDS.items():
        known: list[Any] = []
        if command.function != LIGHTNING:
            function = resolve_name(f'torchgeo_cloudseg.cli.{command.function}')
            known = help_parser(function, f'cloudseg {name}')._actions
        sub = commands.add_parser(name, help=command.help, add_help=command.function == LIGHTNING)
        if command.function == LIGHTNING:
            _lightning(sub)
        for action in known:
            _copy(sub, action)
    return parser


def _copy(parser: argparse.ArgumentParser, action: Any) -> None:
    """Add an option with its choices, or with files, to the tree."""
    # `.NAME` is up to the user
    names = [name.removesuffix('.NAME') for name in action.option_strings] or [action.dest]
    text = (action.help or '').partition(';')[0].partition('. ')[0]
    if isinstance(action, argparse._StoreTrueAction):
        parser.add_argument(*names, action='store_true', help=text)
        return
    choices = getattr(action, 'completions', None) or None
    made: Any = parser.add_argument(*names, choices=choices, help=text)
    if choices is None and (getattr(action, 'is_file', False) or action.metavar == 'FILE'):
        made.complete = shtab.FILE


def _lightning(parser: argparse.ArgumentParser) -> None:
    """The options that the short help names."""
    parser.add_argument('--config', choices=config_names(), help='configuration')
    checkpoint: Any = parser.add_argument('--ckpt-path', help='checkpoint')
    checkpoint.complete = shtab.FILE
    for name in ('--model', '--data', '--print-config'):
        parser.add_argument(name)
