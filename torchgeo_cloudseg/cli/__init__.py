"""The ``cloudseg`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from inspect import signature
from pkgutil import resolve_name
from typing import NamedTuple

from jsonargparse import auto_cli

from .. import __version__


class Command(NamedTuple):
    """A subcommand.

    Attributes:
        help: what it is for.
        function: ``module:function``, imported only when it is called. Its arguments are those of
            the command line, except for Lightning's commands, which parse their own.
        interrupted: what becomes of what was done before Ctrl-C.
    """

    help: str
    function: str
    interrupted: str = ''


#: The function of Lightning's commands.
LIGHTNING = 'lightning:run'

#: Subcommands by name, in the order of the help.
COMMANDS = {
    'demo': Command('train teacher and student on miniature data, show the result', 'demo:demo'),
    'index': Command('build the index of a data set, check every file, and report', 'index:index'),
    'fit': Command('train a teacher or a student (--config FILE)', LIGHTNING),
    'validate': Command('evaluate a checkpoint on the validation patches', LIGHTNING),
    'test': Command('evaluate a checkpoint on the test scenes, by region', LIGHTNING),
    'predict': Command('predict the scenes of a data module', LIGHTNING),
    'map': Command(
        'map land cover of scenes of any size (--optical, --sar, --checkpoint)',
        'map:map_scenes',
        'Finished rows are kept; --resume goes on from there.',
    ),
    'plot': Command('save a picture of a map, or of a sample of a data set', 'plot:plot'),
    'clouds': Command('put synthetic clouds on a GeoTIFF', 'clouds:clouds'),
    'export': Command('write a network as torch.export (.pt2) or ONNX file', 'export:export'),
    'convert': Command("convert the authors' TeacherNet.pth or StudentNet.pth", 'convert:convert'),
}

#: Exit status after Ctrl-C, as shells have it.
INTERRUPTED = 130


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: arguments (defaults to those of the process).

    Raises:
        SystemExit: with 0 after ``--help`` and ``--version``, 2 for unusable arguments, 1 where
            the command cannot do its work, 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if args is None else args)
    parsed = _parser().parse_args(given or ['--help'])
    name, command = parsed.command, COMMANDS[parsed.command]
    function = resolve_name(f'{__name__}.{command.function}')
    code = 1
    try:
        if command.function == LIGHTNING:
            function(name, parsed.arguments)
        else:
            call(function, f'cloudseg {name}', parsed.arguments)
        return
    # an error for the user: what is wrong and what to do, without the program's inside
    except KeyboardInterrupt:
        code, message = INTERRUPTED, f'interrupted. {command.interrupted}'
    except ExceptionGroup as group:
        message = '\n  '.join([f'{group.message}:', *map(str, group.exceptions)])
    except (ValueError, OSError, KeyError) as error:
        message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    sys.stderr.write(f'cloudseg {name}: {message}\n')
    raise SystemExit(code)


def call(function: Callable[..., object], prog: str, args: Sequence[str]) -> None:
    """Parse a command line after the signature of a function, and call the function.

    What is off by default is turned on by its name alone (``--quick``); what has no default is
    given by its place, unless the function takes it by its name only.

    Args:
        function: the function; its docstring is the help.
        prog: name of the command, for the help.
        args: the command line.
    """
    parameters = signature(function).parameters.values()
    flags = {f'--{parameter.name}' for parameter in parameters if parameter.default is False}
    # jsonargparse wants a value for these
    valued = [
        f'{arg}=true' if arg in flags and following not in ('true', 'false') else arg
        for arg, following in zip(args, [*args[1:], ''], strict=True)
    ]
    auto_cli(function, args=valued, prog=prog)


def _parser() -> argparse.ArgumentParser:
    listing = '\n'.join(f'  {name:<10}{command.help}' for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='cloudseg',
        usage='cloudseg [-h] [--version] COMMAND ...',
        description='Land-cover mapping through clouds with optical and SAR images.',
        epilog=f'commands:\n{listing}\n\n`cloudseg COMMAND --help` tells more.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    parser.add_argument('command', choices=COMMANDS, help=argparse.SUPPRESS)
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
