"""``cloudseg configs``: the configurations that come with the package."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from .._files import replacing

#: Where they are: each exists once, in the repository and in the wheel.
FOLDER = Path(str(files('torchgeo_cloudseg') / 'configs'))


def configs(copy: str | None = None, *, to: Path = Path(), overwrite: bool = False) -> None:
    """List the configurations that come with this package, or copy them to change them.

    `cloudseg fit --config NAME` finds them without a copy, too; a file of that name comes first.

    Args:
        copy: which to copy: one, such as m3mcr/teacher.yaml, or all of a folder, such as m3mcr.
        to: folder for the copies.
        overwrite: replace files that exist.

    Examples:
        Which there are, and a copy of one to edit::

            cloudseg configs
            cloudseg configs m3mcr/teacher.yaml --to my-configs

    Raises:
        ValueError: if there is none of that name.
        FileExistsError: if a copy would replace a file.
    """
    known = config_names()
    if copy is None:
        for entry in known:
            sys.stdout.write(f'{entry:<28}{_summary(FOLDER / entry)}\n')
        return
    wanted = [entry for entry in known if entry == copy or entry.startswith(f'{copy.rstrip("/")}/')]
    if not wanted:
        raise ValueError(f'copy={copy!r}: expected one of {", ".join(known)}.')
    targets = {entry: to / entry for entry in wanted}
    there = [str(path) for path in targets.values() if path.exists()]
    if there and not overwrite:
        raise FileExistsError(f'{", ".join(there)}: there already. Pass --overwrite to replace it.')
    for entry, path in targets.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft:
            draft.write_text((FOLDER / entry).read_text())
        sys.stdout.write(f'Written to {path}.\n')


def config_names() -> list[str]:
    """Names of the configurations, such as ``m3mcr/teacher.yaml``."""
    return sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob('*.yaml'))


def find_config(name: str) -> str:
    """A configuration by its name.

    Args:
        name: a file, or one of :func:`config_names`.

    Returns:
        the file's path; what is no configuration of this package is returned as it is.
    """
    found = FOLDER / name
    return name if Path(name).exists() or not found.is_file() else str(found)


def _summary(path: Path) -> str:
    """The comment at the head of a configuration."""
    first = path.read_text().partition('\n')[0]
    return first.removeprefix('#').strip().rstrip('.') if first.startswith('#') else ''
