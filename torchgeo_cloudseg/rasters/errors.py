"""Errors that name the file, what was found, what was expected, and the remedy."""

from __future__ import annotations

import os
import stat

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from .name import is_local, name_of

#: What reading and writing raises: rasterio's errors, and those of GDAL that it hands on.
GDAL_ERRORS = (RasterioError, CPLE_BaseError)


class SceneError(ValueError):
    """A file of a scene that cannot be used as it is.

    Example:
        >>> print(SceneError('p_1.tif', '3 bands', '4 bands', remedy='Name 3.'))
        p_1.tif: found 3 bands, expected 4 bands. Name 3.
    """

    def __init__(
        self, path: str | os.PathLike[str], found: str, expected: str, remedy: str = ''
    ) -> None:
        """Initialize a new SceneError instance.

        Args:
            path: the file.
            found: what is there.
            expected: what should be there.
            remedy: what to do; by default, to restore the file from its source.
        """
        self.path = name_of(path)
        self.found = found
        self.expected = expected
        self.remedy = remedy or 'Restore the file from its source, or leave its scene out.'
        super().__init__(f'{self.path}: found {found}, expected {expected}. {self.remedy}')

    def __reduce__(self) -> tuple[type[SceneError], tuple[str, str, str, str]]:
        """How it is made again in another process, to which it is sent pickled."""
        return type(self), (self.path, self.found, self.expected, self.remedy)


class ScenesError(ValueError):
    """Several scenes that cannot be used, reported together.

    Example:
        >>> error = ScenesError([SceneError('s2/p_1.tif', found='3 bands', expected='4 bands')])
        >>> [problem.path for problem in error.problems]
        ['s2/p_1.tif']
    """

    #: Number of problems spelled out in the message.
    shown = 20

    def __init__(self, problems: list[SceneError]) -> None:
        """Initialize a new ScenesError instance.

        Args:
            problems: one error per broken file.
        """
        self.problems = problems
        lines = [f'{len(problems)} file(s) cannot be used:']
        lines += [f'  {problem}' for problem in problems[: self.shown]]
        if len(problems) > self.shown:
            lines.append(f'  ... and {len(problems) - self.shown} more')
        super().__init__('\n'.join(lines))

    def __reduce__(self) -> tuple[type[ScenesError], tuple[list[SceneError]]]:
        """How it is made again in another process, to which it is sent pickled."""
        return type(self), (self.problems,)


def check_plain(path: str | os.PathLike[str]) -> None:
    """Refuse what has no end, or waits for somebody to write: pipes, devices, sockets.

    Args:
        path: a file, or anything else that GDAL reads.

    Raises:
        SceneError: if it is none of the latter, and no file or folder.
    """
    name = os.fspath(path)
    if name.startswith('/vsistdin'):
        raise SceneError(path, 'the standard input', 'a file', 'Write it to a file first.')
    if not is_local(name):
        return
    try:
        kind = os.stat(path).st_mode  # noqa: PTH116 - faster, for every one of many files
    except (OSError, ValueError):
        return  # whoever opens it says why it cannot be
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise SceneError(path, 'a pipe or a device', 'a file', 'Write its content to a file first.')


def unreadable(path: str, error: Exception) -> SceneError:
    """The error for a file that a library could not read.

    Args:
        path: the file, or what else GDAL takes for one, such as a URL.
        error: what the library said.

    Returns:
        an error that names the file and the remedy.
    """
    if isinstance(error, OSError) and error.strerror and not isinstance(error, FileNotFoundError):
        return SceneError(path, f'an unreadable file ({error.strerror})', 'a readable file')
    local = is_local(path)
    if local and not os.path.exists(path):  # noqa: PTH110 - called for every broken one of many
        link = os.path.islink(path)  # noqa: PTH114
        found = 'a link to nowhere' if link else 'no such file'
        remedy = 'Check the path. If it was there before, restore it, or leave its scene out.'
        return SceneError(path, found, 'a file', remedy)
    if local and os.path.getsize(path) == 0:  # noqa: PTH202
        return SceneError(path, 'an empty file', 'a complete file')
    # an error of a read only says that there is another one
    cause = str(error.__cause__ or error).replace(path, name_of(path))
    cause = cause.removeprefix(f"'{name_of(path)}' ").removeprefix(f'{name_of(path)}: ')
    return SceneError(path, f'an unreadable file ({cause})', 'a complete file')


def unreadable_folder(path: str | os.PathLike[str], error: OSError) -> SceneError:
    """The error for a folder that cannot be listed.

    Args:
        path: the folder.
        error: why it cannot.

    Returns:
        the error.

    Example:
        >>> unreadable_folder('/data/s2', PermissionError(13, 'Permission denied')).found
        'an unreadable folder (Permission denied)'
    """
    found = f'an unreadable folder ({error.strerror})'
    return SceneError(path, found, 'a readable folder', 'Make it readable, or remove it.')
