"""Errors that name the file, what was found, what was expected, and the remedy."""

from __future__ import annotations

import os

from torchgeo.datasets import DatasetNotFoundError


class SceneError(ValueError):
    """A file of a scene that cannot be used as it is."""

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
        self.path = os.fspath(path)
        self.found = found
        self.expected = expected
        self.remedy = remedy or 'Restore the file from its source, or leave its scene out.'
        super().__init__(f'{self.path}: found {found}, expected {expected}. {self.remedy}')

    def __reduce__(self) -> tuple[type[SceneError], tuple[str, str, str, str]]:
        """How it is made again in another process, to which it is sent pickled."""
        return type(self), (self.path, self.found, self.expected, self.remedy)


def unreadable_folder(path: str | os.PathLike[str], error: OSError) -> SceneError:
    """The error for a folder that cannot be listed.

    Args:
        path: the folder.
        error: why it cannot.

    Returns:
        the error.
    """
    found = f'an unreadable folder ({error.strerror})'
    return SceneError(path, found, 'a readable folder', 'Make it readable, or remove it.')


class EmptySplitError(DatasetNotFoundError):
    """A split without scenes, of a data set that is there."""

    def __init__(self, message: str) -> None:
        """Initialize a new EmptySplitError instance.

        Args:
            message: what was found, and what to do.
        """
        FileNotFoundError.__init__(self, message)


class ScenesError(ValueError):
    """Several scenes that cannot be used, reported together."""

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
