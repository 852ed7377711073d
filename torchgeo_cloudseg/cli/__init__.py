"""The ``cloudseg`` command."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import NamedTuple

from .. import __version__
from .interrupts import Stopped, stoppable

# all else is imported by functions: what takes time can be interrupted by then


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

#: Options before or after any command, and how each is spelled in short.
MANNERS = {'quiet': ('--quiet', '-q'), 'verbose': ('--verbose', '-v')}

#: Subcommands by name, in the order of the help.
COMMANDS = {
    'demo': Command('train teacher and student on miniature data, show the result', 'demo:demo'),
    'inspect': Command('look at a folder of images, write a configuration', 'inspect:inspect'),
    'index': Command('build the index of a data set, check every file, and report', 'index:index'),
    'fit': Command('train a teacher or a student', LIGHTNING),
    'validate': Command('evaluate a checkpoint on the validation patches', LIGHTNING),
    'calibrate': Command('make confidence true, and find class sets, on validation', LIGHTNING),
    'test': Command('evaluate a checkpoint on the test scenes, by region', LIGHTNING),
    'predict': Command('predict the scenes of a data module', LIGHTNING),
    'map': Command(
        'map land cover of scenes of any size',
        'map:map_scenes',
        'Finished rows are kept, if there are any; --resume goes on from there.',
    ),
    'plot': Command('save a picture of a map, or of a sample of a data set', 'plot:plot'),
    'clouds': Command('put synthetic clouds on a GeoTIFF', 'clouds:clouds'),
    'export': Command('write a network as torch.export (.pt2) or ONNX file', 'export:export'),
    'convert': Command("convert the authors' TeacherNet.pth or StudentNet.pth", 'convert:convert'),
    'configs': Command('list the configurations, or copy them', 'configs:configs'),
    'doctor': Command('check the installation, and say what will be slow', 'doctor:doctor'),
    'completion': Command('print what completes commands in your shell', 'completion:completion'),
}


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: arguments (defaults to those of the process).

    Raises:
        SystemExit: with 0 after ``--help`` and ``--version``, 2 for unusable arguments, 1 where
            the command cannot do its work, 130 after Ctrl-C and 143 after SIGTERM.
    """
    given = list(sys.argv[1:] if args is None else args)
    manners = {name: bool(set(given) & set(options)) for name, options in MANNERS.items()}
    given = [arg for arg in given if not any(arg in options for options in MANNERS.values())]
    code, prog, interrupted = 1, 'cloudseg', ''
    try:
        with stoppable():
            _settle(manners)
            parsed = _parser().parse_args(given or ['--help'])
            name, command = parsed.command, COMMANDS[parsed.command]
            prog, interrupted = f'cloudseg {name}', command.interrupted
            _run(name, command.function, parsed.arguments)
        return
    # an error for the user: what is wrong and what to do, without the program's inside
    except Stopped as stopped:
        code, message = stopped.status, f'{stopped}. {interrupted}'.rstrip()
    except ExceptionGroup as group:
        message = '\n  '.join([f'{group.message}:', *map(str, group.exceptions)])
    except MemoryError as error:
        message = f'there is not enough memory. {error}'.rstrip()
    except (ValueError, OSError, KeyError, ImportError) as error:
        message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if manners['verbose']:
        traceback.print_exc()
    sys.stderr.write(f'{prog}: {message}\n')
    raise SystemExit(code)


def _settle(manners: Mapping[str, bool]) -> None:
    """Settle what must be before torch is imported."""
    from . import environment

    environment.settle()
    environment.speak(**manners)


def _run(name: str, function: str, args: list[str]) -> None:
    """Import what a command takes, and call it."""
    from . import training_page
    from .parsing import call, with_underscores

    if function != LIGHTNING:
        call(resolve_name(f'{__name__}.{function}'), f'cloudseg {name}', args)
    elif {'-h', '--help'} & set(args):
        sys.stdout.write(training_page.page(name))
        raise SystemExit(0)
    else:
        arguments = training_page.expand(with_underscores(args))
        resolve_name(f'{__name__}.{LIGHTNING}')(name, arguments)


def _parser() -> argparse.ArgumentParser:
    from .parsing import COMMON

    listing = '\n'.join(f'  {name:<12}{command.help}' for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog='cloudseg',
        usage='cloudseg [--help] [--version] [--quiet | --verbose] COMMAND ...',
        description='Land-cover mapping through clouds with optical and SAR images.',
        epilog=f'commands:\n{listing}\n\n`cloudseg COMMAND --help` tells more.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        '--version', action=_Version, nargs=0, help='show versions of what matters, and stop'
    )
    for name, options in MANNERS.items():
        # taken out before; here for the help
        parser.add_argument(*reversed(options), action='store_true', help=COMMON[name])
    parser.add_argument('command', choices=COMMANDS, help=argparse.SUPPRESS)
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


class _Version(argparse.Action):
    """Shows versions; they are looked for only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from .doctor import versions

        sys.stdout.write(f'cloudseg {__version__}\n')
        for name, version in versions().items():
            sys.stdout.write(f'  {name} {version}\n')
        parser.exit()
