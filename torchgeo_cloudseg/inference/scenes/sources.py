"""Images of what users name: files, folders, archives, addresses, lists, STAC items, globs."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from ...datasets.products import (
    Faults,
    FoundImage,
    found_or_broken,
    images_in,
    images_in_stac,
    is_stac,
)
from ...rasters import folder_at, is_local, without_scheme
from ...rasters.text import read_rows

T = TypeVar('T')

#: Files that count as lists of paths.
LIST_SUFFIXES = ('.txt', '.csv')

#: Where images come from: a file, URL, folder, glob, list or STAC item, or several of them.
Source = str | Path | Sequence[str | Path]


def several(source: Source) -> list[str]:
    """The parts of a source.

    Args:
        source: one or several.

    Returns:
        what it names; files on this machine as paths, not as addresses.
    """
    paths = [source] if isinstance(source, str | Path) else source
    return [without_scheme(str(path)) for path in paths]


def is_list(path: str) -> bool:
    """Whether a path is that of a list of paths.

    Args:
        path: anything.

    Returns:
        True for ``.txt`` and ``.csv`` files that are there.
    """
    return Path(path).suffix.lower() in LIST_SUFFIXES and Path(path).is_file()


def holds_several(path: str) -> bool:
    """Whether a path may be that of several images: a folder, an archive, or STAC items.

    Args:
        path: anything.

    Returns:
        True where optical and SAR images may be in it.
    """
    if is_stac(path):
        return not is_local(path) or Path(path).is_file()
    return folder_at(path) is not None


def images_of(
    paths: Sequence[str], assets: tuple[str, str], faults: Faults | None
) -> list[FoundImage]:
    """All images of sources.

    Args:
        paths: what users name.
        assets: keys of the optical and the SAR asset in a STAC item.
        faults: where to put what is wrong with an image; None to raise it.

    Returns:
        the images.

    Raises:
        FileNotFoundError: if there are none.
        SceneError: if files that make an image cannot be opened, and *faults* is None.
    """
    found: list[FoundImage] = []
    files: list[str] = []
    many = len(paths) > 1 and faults is not None
    for path in (file for source in paths for file in _expand(source, many)):
        if is_stac(path):
            find = partial(images_in_stac, path, assets, faults)
            found += found_or_broken(find, FoundImage.of_file(path), faults)
        else:
            files.append(path)
    if files:
        found += _some(images_in(files, faults), ', '.join(paths[:3]), 'rasters')
    return found


def of_kind(images: list[FoundImage], kind: str) -> list[FoundImage]:
    """Images that are, or may be, of a kind.

    Args:
        images: the images.
        kind: 'optical' or 'sar'.

    Returns:
        those.

    Raises:
        FileNotFoundError: if there are none.
    """
    found = [image for image in images if image.kind in (kind, '')]
    names = ', '.join(image.name for image in images[:3])
    return _some(found, names, f'{"optical" if kind == "optical" else "SAR"} images')


def _expand(path: str, many: bool) -> list[str]:
    """Files and folders that a source names; one of many may be missing."""
    (first, *more) = matches(path)
    if more or first != path or not is_local(path):
        return [first, *more]
    if not Path(path).exists():
        if many:
            return [path]
        raise FileNotFoundError(f'{path}: no such file or folder. Check the path.')
    if Path(path).is_dir():
        return _some([path] if any(Path(path).iterdir()) else [], path, 'rasters')
    if is_list(path):
        return _some([row[0] for row in rows_of(Path(path))], path, 'a path per line')
    return [path]


def matches(path: str) -> list[str]:
    """Files that a pattern stands for.

    Args:
        path: a pattern such as ``s2/*.tif``, or anything else.

    Returns:
        the files; the path itself if it is no pattern, or a file.

    Raises:
        FileNotFoundError: if there are none.
    """
    if not glob.has_magic(path) or not is_local(path) or Path(path).exists():
        return [path]
    found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - Path refuses absolute patterns
    return _some(found, path, 'a match')


def _some(found: list[T], path: str, expected: str) -> list[T]:
    if not found:
        raise FileNotFoundError(f'{path}: found nothing, expected {expected}.')
    return found


def rows_of(path: Path) -> list[list[str]]:
    """Rows of a list.

    Args:
        path: the list.

    Returns:
        the cells of each row, paths that are relative to the list made absolute.

    Raises:
        SceneError: if it cannot be read, or is no table.
    """
    rows = [[cell.strip() for cell in row if cell.strip()] for row in read_rows(path)]
    rows = [row for row in rows if row and not row[0].startswith('#')]
    paths = [[_beside(path, cell) for cell in row] for row in rows]
    if rows and all(word.isidentifier() for word in rows[0]):
        # plain words, none of which is a file, are names of columns
        return paths if any(Path(cell).exists() for cell in paths[0]) else paths[1:]
    return paths


def _beside(path: Path, reference: str) -> str:
    """A path as it is meant in a list."""
    reference = without_scheme(reference)
    if not is_local(reference) or reference.startswith('/'):
        return reference
    return str(path.parent / reference)
