"""Command lines after the signatures of functions: one caller, one way to write help and errors."""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, get_type_hints

import docstring_parser
from jsonargparse import auto_cli

from .words import Argument, argument, option

#: Options of every command, by name.
COMMON = {
    'config': 'take arguments from this YAML file',
    'print_config': 'print all arguments as YAML, and stop',
    'quiet': 'no progress and no remarks: only results and errors',
    'verbose': 'say more; after an error, where it came from',
    'help': 'show this page, and stop',
}

#: Widest lines of a help page.
WIDTH = 100


def call(function: Callable[..., object], prog: str, args: Sequence[str]) -> None:
    """Parse a command line after the signature of a function, and call the function.

    What is off by default is turned on by its name alone (``--quick``); what has no default is
    given by its place, unless the function takes it by its name only; where others are by name
    only, what has a default may be given by its place, too. Values of a list follow each other
    (``--products confidence quicklook``), or stand in brackets; hyphens stand for underscores.

    Args:
        function: the function; its docstring is the help.
        prog: name of the command, for the help.
        args: the command line.

    Raises:
        SystemExit: with 0 after the help, with 2 for arguments that cannot be used.
    """
    known = arguments(function)
    parser = help_parser(function, prog)
    if {'-h', '--help'} & set(args):
        sys.stdout.write(parser.format_help())
        raise SystemExit(0)
    try:
        given = _by_name(as_parsed(args, known), function)
        auto_cli(function, args=given, prog=prog, exit_on_error=False)
    except argparse.ArgumentError as error:
        _stop(parser, _in_words(str(error), known))


def _by_name(args: Sequence[str], function: Callable[..., object]) -> list[str]:
    """A command line in which values given by place have their names, where these are optional."""
    parameters = list(inspect.signature(function).parameters.values())
    if not any(p.kind is p.KEYWORD_ONLY for p in parameters):
        return list(args)
    placed = (p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
    found = []
    for arg in args:
        parameter = None if arg.startswith('--') else next(placed, None)
        optional = parameter is not None and parameter.default is not parameter.empty
        found.append(f'--{parameter.name}={arg}' if parameter and optional else arg)
    return found


def arguments(function: Callable[..., object]) -> dict[str, Argument]:
    """Arguments of a function, by name.

    Args:
        function: the function.

    Returns:
        what each of them takes.
    """
    kinds = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    return {p.name: argument(p.name, kinds[p.name], p.default) for p in parameters}


def as_parsed(args: Sequence[str], known: Mapping[str, Argument]) -> list[str]:
    """A command line as people type it, in the form that jsonargparse reads.

    Args:
        args: the command line.
        known: arguments of the command.

    Returns:
        names with underscores, lists in brackets, flags with a value.

    Raises:
        argparse.ArgumentError: if there is no such option.
    """
    rest, found = list(args), []
    while rest:
        arg = rest.pop(0)
        typed, equals, value = arg.partition('=')
        if not typed.startswith('--') or typed == '--':
            found.append(arg)
            continue
        name = typed[2:].replace('-', '_')
        entry = known.get(name) or _mapping(name, known)
        if entry is None:
            _refuse_unknown(typed, name, known)
            found.append(f'--{name}{equals}{value}')
        elif equals:
            found.append(f'--{name}={value}')
        elif entry.is_flag:
            given = rest.pop(0) if rest[:1] in (['true'], ['false']) else 'true'
            found.append(f'--{name}={given}')
        else:
            ends = (i for i, text in enumerate(rest) if text.startswith('--'))
            count = entry.values(rest[: next(ends, len(rest))])
            values, rest = rest[:count], rest[count:]
            if count and entry.is_listed(values):
                items = [json.dumps(v) if entry.is_text(v) else v for v in values]
                values = [f'[{", ".join(items)}]']
            found += [f'--{name}={value}' for value in values] or [f'--{name}']
    return found


def with_underscores(args: Iterable[str]) -> list[str]:
    """A command line with underscores in place of hyphens within the names of options.

    Args:
        args: the command line.

    Returns:
        the same, as Lightning's commands read it.
    """
    parts = (arg.partition('=') if arg.startswith('--') else ('', '', arg) for arg in args)
    return [name[:2] + name[2:].replace('-', '_') + equals + value for name, equals, value in parts]


def help_parser(function: Callable[..., object], prog: str) -> argparse.ArgumentParser:
    """The help of a function, as a parser that only tells.

    Args:
        function: the function; its docstring has ``Args:`` and ``Examples:``.
        prog: name of the command.

    Returns:
        a parser that knows all options, their choices and what they are for.
    """
    doc = inspect.getdoc(function) or ''
    parsed = docstring_parser.parse(doc, docstring_parser.DocstringStyle.GOOGLE)
    texts = {entry.arg_name: ' '.join((entry.description or '').split()) for entry in parsed.params}
    summary = '\n\n'.join(filter(None, (parsed.short_description, parsed.long_description)))
    parser = argparse.ArgumentParser(
        prog=prog, description=summary, epilog=examples(doc), add_help=False, allow_abbrev=False,
        formatter_class=PageFormatter,
    )  # fmt: skip
    known, usage = arguments(function), [prog]
    groups = [parser.add_argument_group(title) for title in ('arguments', 'required', 'options')]
    parameters = inspect.signature(function).parameters.values()
    some_by_name = any(p.kind is p.KEYWORD_ONLY for p in parameters)
    for parameter in parameters:
        entry, required = known[parameter.name], parameter.default is parameter.empty
        placed = required and parameter.kind is not parameter.KEYWORD_ONLY
        group = groups[0 if placed else 1 if required else 2]
        made = _tell(group, entry, texts.get(entry.name, ''), parameter.default, placed, required)
        if required:
            usage.append(str(made.metavar) if placed else f'{entry.option} {entry.words}')
        elif some_by_name and parameter.kind is not parameter.KEYWORD_ONLY:
            usage.append(f'[{entry.name.replace("_", "-")}]')
    parser.usage = ' '.join([*usage, '[options]'])
    for name, text in COMMON.items():
        short = [f'-{name[0]}'] if name in ('help', 'quiet', 'verbose') else []
        takes: Any = {'metavar': 'FILE'} if name == 'config' else {'action': 'store_true'}
        groups[2].add_argument(*short, option(name), help=text, **takes)
    return parser


def examples(doc: str) -> str | None:
    """The section of a docstring that shows calls, without its marks.

    Args:
        doc: a docstring, its lines aligned.

    Returns:
        the section, or None.
    """
    found = re.search(r'^Examples:\n((?:[ ]+.*\n?|\n)+)', doc, re.MULTILINE)
    return f'examples:\n{found[1].rstrip()}'.replace('::\n', ':\n') if found else None


class PageFormatter(argparse.RawDescriptionHelpFormatter):
    """Help pages that can be read: texts below the names, lines of no more than 100 characters."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=10)
        self._width = min(self._width, WIDTH)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        # paragraphs are filled, examples stay as they are
        parts = text.split('\n\n')
        if text.startswith('examples:'):
            return super()._fill_text(text, width, indent)
        return '\n\n'.join(textwrap.fill(' '.join(part.split()), width) for part in parts)


def _tell(
    group: Any, entry: Argument, text: str, default: object, placed: bool, required: bool
) -> Any:
    """Add an argument to a parser that only tells."""
    if default not in (inspect.Parameter.empty, None, False):
        shown = ' '.join(map(str, default)) if isinstance(default, tuple) else default
        text += f' (default: {shown})'
    text = text.replace('%', '%%')
    if entry.is_flag:
        return group.add_argument(entry.option, action='store_true', help=text)
    name = entry.name.replace('_', '-') if placed else entry.option
    words = 'VALUE' if entry.is_mapping else entry.words
    takes: dict[str, Any] = {} if placed else {'required': required}
    if entry.is_mapping:
        name += '.NAME'
    made = group.add_argument(name, metavar=name if placed else words, help=text, **takes)
    # the shell completes by these
    made.completions = [choice for take in entry.takes for choice in take.choices]
    made.is_file = any(take.is_file for take in entry.takes)
    return made


def _mapping(name: str, known: Mapping[str, Argument]) -> Argument | None:
    """The argument of which a dotted name is a part."""
    entry = known.get(name.partition('.')[0])
    return entry if entry and entry.is_mapping and '.' in name else None


def _refuse_unknown(typed: str, name: str, known: Mapping[str, Argument]) -> None:
    """Refuse an option that is not there, whatever else is wrong.

    Raises:
        argparse.ArgumentError: with those that it may stand for.
    """
    names = [*known, *COMMON]
    if any(entry.startswith(name.rstrip('+')) for entry in names):
        return
    close = difflib.get_close_matches(name, names, n=1)
    hint = f' Did you mean {option(close[0])}?' if close else ''
    raise argparse.ArgumentError(None, f'{typed}: there is no such option.{hint}')


def _in_words(message: str, known: Mapping[str, Argument]) -> str:
    """An error of jsonargparse, as a sentence."""
    key = re.match(r'Parser key "([^"]+)"', message)
    missing = re.match(r'the following arguments are required: (.*)', message)
    if missing:
        return f'missing: {missing[1].replace("_", "-")}.'
    valueless = re.match(r'argument (--\w+).*: expected one argument', message)
    if valueless:
        entry = known[valueless[1][2:]]
        return f'{entry.option}: found no value, expected {entry.words}.'
    if key is None or key[1].partition('.')[0] not in known:
        return f'{message.rstrip(".")}.'
    entry = known[key[1].partition('.')[0]]
    given = re.findall(r'(?:Given value|Got value): (.*)', message)
    words = 'true or false' if entry.is_flag else entry.words
    reason = re.search(r'(?:^|\n)\s*(\S.* must be .*)', message)
    expected = reason[1] if reason else f'expected {words}'
    return f'{entry.option}: found {given[-1] if given else "no value"!r}, {expected}.'


def _stop(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    """End with the usage and what is wrong."""
    usage = parser.format_usage()
    hint = f'`{parser.prog} --help` tells more.'
    sys.stderr.write(f'{usage}{parser.prog}: {message} {hint}\n')
    raise SystemExit(2)
