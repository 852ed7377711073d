"""What an argument takes, in words for people: for the help, for errors, and to tell its values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

#: Most values of a list.
ANY_NUMBER = 10_000


class Takes(NamedTuple):
    """What one alternative of a type takes.

    Attributes:
        word: what stands for it in the help, such as ``N`` or ``{a,b}``; empty for a flag.
        fits: whether a text may be one of its values.
        most: how many values it takes.
        listed: whether even one value is a list.
        choices: all there are, if they can be counted.
        is_file: whether its values are files.
    """

    word: str
    fits: Callable[[str], bool]
    most: int = 1
    listed: bool = False
    choices: tuple[str, ...] = ()
    is_file: bool = False


class Argument(NamedTuple):
    """An argument of a command.

    Attributes:
        name: as the function has it.
        takes: what it takes, one or the other.
        is_flag: whether its name alone turns it on.
        is_mapping: whether it takes values by name, as ``--facts.class_names``.
    """

    name: str
    takes: tuple[Takes, ...]
    is_flag: bool
    is_mapping: bool

    @property
    def option(self) -> str:
        """As typed: ``--batch-size``."""
        return option(self.name)

    @property
    def words(self) -> str:
        """What it takes, for the help: ``{label,optical} | NUMBER``."""
        words = [take.word for take in self.takes]
        # `A | A ...` says no more than the latter
        lists = {take.word.partition(' ')[0] for take in self.takes if take.most == ANY_NUMBER}
        kept = [word for word in words if word not in lists]
        return ' | '.join(dict.fromkeys(kept))

    def values(self, following: list[str]) -> int:
        """How many of the texts that follow its name are its own.

        Args:
            following: texts up to the next option.

        Returns:
            their number, at least 1 where there is any.
        """
        longest = min(len(following), 1)
        for take in self.takes:
            fitting = 0
            while fitting < min(take.most, len(following)) and take.fits(following[fitting]):
                fitting += 1
            longest = max(longest, fitting)
        return longest

    def is_listed(self, values: list[str]) -> bool:
        """Whether values make a list: more than one, or one where nothing else is taken."""
        bracketed = len(values) == 1 and values[0].startswith(('[', '('))
        alone = all(take.listed for take in self.takes)
        return not bracketed and (len(values) > 1 or alone)

    def is_text(self, value: str) -> bool:
        """Whether a value is to be kept from being read as a number or a truth value."""
        numbers = (take for take in self.takes if take.fits in (is_integer, is_number))
        return not any(take.fits(value) for take in numbers)


def option(name: str) -> str:
    """A name as it is typed.

    Args:
        name: as Python has it, such as ``batch_size``.

    Returns:
        such as ``--batch-size``.
    """
    return f'--{name.replace("_", "-")}'


def argument(name: str, kind: Any, default: Any) -> Argument:
    """Describe an argument.

    Args:
        name: its name.
        kind: its type.
        default: its default.

    Returns:
        the description.
    """
    is_flag = default is False
    kinds = [] if is_flag else list(_alternatives(kind))
    is_mapping = any(get_origin(one) is dict for one in kinds)
    return Argument(name, tuple(_takes(one, name) for one in kinds), is_flag, is_mapping)


def is_integer(text: str) -> bool:
    """Whether a text is a whole number."""
    return text.lstrip('+-').isdecimal()


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _alternatives(kind: Any) -> Iterator[Any]:
    """Types of which a union is made, without None."""
    if get_origin(kind) in (Union, UnionType):
        for one in get_args(kind):
            yield from _alternatives(one)
    elif kind is not NoneType:
        yield kind


def _takes(kind: Any, name: str) -> Takes:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        choices = tuple(map(str, inner))
        return Takes(f'{{{",".join(choices)}}}', choices.__contains__, choices=choices)
    if origin in (list, tuple):
        items = list(_alternatives(inner[0]))
        if len(items) > 1 or get_origin(items[0]) in (list, tuple):
            return Takes("'[LIST, ...]'", lambda text: text.startswith('['))
        item = _takes(items[0], name)
        if origin is tuple and inner[-1] is not Ellipsis:
            word = ' '.join([item.word] * len(inner))
            return item._replace(word=word, most=len(inner), listed=True)
        return item._replace(word=f'{item.word} ...', most=ANY_NUMBER, listed=True)
    if kind is int:
        return Takes('N', is_integer)
    if kind is float:
        return Takes('NUMBER', is_number)
    if kind is Path:
        return Takes('FILE', bool, is_file=True)
    # its own name stands for a text
    return Takes(name.upper(), bool)
