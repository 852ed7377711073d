"""The ``cloudseg`` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from .. import __version__


class Command(NamedTuple):
    """A subcommand: what it is for, and where its code is (imported only when it is called)."""

    help: str
    module: str


#: Subcommands by name, in the order of the help. Each module has a ``run(name, args)``.
COMMANDS: dict[str, Command] = {
    'demo': Command(
        'write miniature data, train teacher and student on it, show the result', 'demo'
    ),
    'index': Command('build the index of a data set, check every file, and report', 'index'),
    'fit': Command('train a teacher or a student (--config FILE)', 'lightning'),
    'validate': Command('evaluate a checkpoint on the validation patches', 'lightning'),
    'test': Command('evaluate a checkpoint on the test scenes, by region', 'lightning'),
    'predict': Command('predict the scenes of a data module', 'lightning'),
    'map': Command('map land cover of scenes of any size (--optical, --sar, --checkpoint)', 'map'),
    'plot': Command('save a picture of a map, or of a sample of a data set', 'plot'),
    'clouds': Command('put synthetic clouds on a GeoTIFF', 'clouds'),
    'export': Command(
        'write a network as torch.export (.pt2) or ONNX file, for other programs', 'export'
    ),
    'convert': Command("convert the authors' TeacherNet.pth or StudentNet.pth", 'convert'),
}


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: arguments (defaults to those of the process).

    Raises:
        SystemExit: with 0 after ``--help`` and ``--version``, 2 for unusable arguments, 1 where
            the command cannot do its work.
    """
    argv = list(sys.argv[1:] if args is None else args)
    parser = _parser()
    if not argv or argv[0].startswith('-'):
        parser.parse_args(argv or ['--help'])
        return
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        parser.error(f'unknown command {name!r}; choose from {", ".join(COMMANDS)}')
    run: Callable[[str, list[str]], None] = import_module(f'.{COMMANDS[name].module}', __name__).run
    try:
        run(name, rest)
    except (ValueError, OSError, KeyError) as error:
        # an error for the user: what is wrong and what to do, without the program's inside
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        sys.stderr.write(f'cloudseg {name}: {message}\n')
        raise SystemExit(1) from error


def _parser() -> argparse.ArgumentParser:
    listing = '\n'.join(f'  {name:<10}{command.help}' for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='cloudseg',
        usage='cloudseg [-h] [--version] COMMAND ...',
        description='Land-cover mapping through clouds with optical and SAR images.',
        epilog=f'commands:\n{listing}\n\n`cloudseg COMMAND --help` tells more.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    return parser
