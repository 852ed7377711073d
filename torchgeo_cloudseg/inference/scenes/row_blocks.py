"""Finished row blocks of a map, kept in files of their own until the whole map is there.

A run that is killed loses nothing but the row block it was working on; several processes can work
on one map, each on its own row blocks.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._files import OutputError, cannot_write, replacing
from ..errors import ResumeError

logger = logging.getLogger(__name__)

#: File that tells what a folder of row blocks belongs to.
MANIFEST = 'manifest.json'

#: Folder below it in which the products are put together.
ASSEMBLY = 'products'

#: File that is there while finished products get their names.
PUBLISHING = 'publishing'

#: Files that such a folder may hold, drafts among them.
_OURS = re.compile(rf'(\..*\.)?(band-\d{{6}}\.npz|{MANIFEST})|{ASSEMBLY}|{PUBLISHING}')

#: Array of a row block that tells by which run it was made.
RUN = 'run'

#: What numpy raises for files that are damaged.
DAMAGED = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error)


class RowBlockStore:
    """A folder ``<output>.parts`` beside an output, with one file per finished row block.

    Row blocks carry the fingerprint of their run. Those of another run do not count.
    """

    def __init__(self, output_path: Path, manifest: Mapping[str, Any]) -> None:
        """Initialize a new RowBlockStore instance; nothing is written yet.

        Args:
            output_path: the output that the row blocks belong to.
            manifest: what decides the pixels of the output, as JSON.
        """
        self.output_path = output_path
        self.folder = output_path.with_name(f'{output_path.name}.parts')
        self.manifest: dict[str, Any] = json.loads(json.dumps(manifest))
        #: Short text that changes with anything in the manifest.
        self.run = digest(self.manifest)

    @property
    def assembly(self) -> Path:
        """Folder in which the products are put together."""
        return self.folder / ASSEMBLY

    def check(self, resume: bool) -> None:
        """Refuse a folder that is not to be used.

        Args:
            resume: carry on where an earlier run was interrupted.

        Raises:
            ResumeError: if it is to be carried on, and was about something else.
            OutputError: if the folder is somebody else's.
        """
        found = self._found_manifest()
        self._refuse_foreign(found)
        if resume and found is not None:
            self._refuse_others(found)

    def prepare(self, resume: bool) -> None:
        """Make the folder, or take up an earlier one that was found to be of use.

        Args:
            resume: carry on where an earlier run was interrupted; otherwise start anew.

        Raises:
            OutputError: if the folder cannot be written.
        """
        try:
            if self.folder.exists() and not resume:
                logger.warning('%s: starting anew; an earlier run goes.', self.folder)
                self.remove()
            self.folder.mkdir(parents=True, exist_ok=True)
            finished = self.finished()
            for block, path in self._blocks().items():
                if block not in finished:
                    logger.warning('%s: damaged, or of another run; it is made anew.', path)
                    path.unlink()
            with replacing(self.folder / MANIFEST, durable=True) as draft:
                draft.write_text(json.dumps(self.manifest, indent=1))
        except OSError as error:
            raise self.cannot_write(error) from error

    def finished(self) -> set[int]:
        """Row blocks of this run that are there and complete.

        Returns:
            their indices.
        """
        return {block for block, path in self._blocks().items() if _run_of(path) == self.run}

    def write(self, block: int, arrays: Mapping[str, Any]) -> None:
        """Keep a row block; safe against being killed, and on disk when it returns.

        Args:
            block: its index.
            arrays: values (bands, rows, width) by product.

        Raises:
            OutputError: if it cannot be written.
        """
        try:
            with replacing(self._path(block), durable=True) as draft:
                np.savez(draft, **{**arrays, RUN: np.array(self.run)})
        except OSError as error:
            raise self.cannot_write(error) from error

    def read(self, block: int, product: str) -> NDArray[Any]:
        """Read a product of a row block.

        Args:
            block: its index.
            product: name of the product.

        Returns:
            values (bands, rows, width).

        Raises:
            OutputError: if it is damaged.
        """
        try:
            with np.load(self._path(block), allow_pickle=False) as arrays:
                values: NDArray[Any] = arrays[product]
                return values
        except DAMAGED as error:
            _raise_system(error)
            raise OutputError(
                f'{self._path(block)}: found damaged rows ({error}). Run again with resume: they '
                'are made anew.'
            ) from error

    def start_publishing(self) -> None:
        """Note that products of this run may stand under their names from now on."""
        (self.folder / PUBLISHING).touch()

    @property
    def was_publishing(self) -> bool:
        """Whether this run was stopped while its products got their names."""
        return (self.folder / PUBLISHING).exists() and self._found_manifest() == self.manifest

    def remove(self) -> None:
        """Remove what is ours, the manifest last; a folder in which something remains stays."""
        if not self.folder.exists():
            return
        shutil.rmtree(self.assembly, ignore_errors=True)
        files = [file for file in self.folder.iterdir() if _OURS.fullmatch(file.name)]
        for file in sorted(files, key=lambda file: file.name == MANIFEST):
            file.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def remove_if_empty(self) -> None:
        """Remove the folder where there is nothing that a run could carry on with."""
        if not self._blocks():
            self.remove()

    def cannot_write(self, cause: Exception) -> OutputError:
        """The error for output that cannot be written.

        Args:
            cause: what went wrong.

        Returns:
            an error that names the output, the remedy and what is kept.
        """
        remedy = 'then run again'
        if count := len(self._blocks()):
            remedy += f' with resume: {count} finished row block(s) are kept in {self.folder.name}'
        return cannot_write(self.output_path, cause, remedy)

    def _refuse_foreign(self, manifest: Mapping[str, Any] | None) -> None:
        """Leave a folder alone that holds anything that no run of ours has written."""
        if not self.folder.is_dir() or self.folder.is_symlink():
            foreign = [self.folder] if self.folder.exists() else []
        else:
            foreign = [file for file in self.folder.iterdir() if not _OURS.fullmatch(file.name)]
            if manifest is None:
                file = self.folder / MANIFEST
                foreign += [file] if file.exists() else []
                foreign += [path for path in self._blocks().values() if not _run_of(path)]
        if foreign:
            raise OutputError(
                f'{foreign[0]}: found something that no run has left here, expected row blocks of '
                'a map or nothing. Move it away, or name another output.'
            )

    def _refuse_others(self, found: Mapping[str, Any]) -> None:
        """Do not carry on with what another run has begun."""
        differing = [
            f'{key}: {found.get(key)} then, {self.manifest.get(key)} now'
            for key in sorted({*found, *self.manifest})
            if found.get(key) != self.manifest.get(key)
        ]
        if differing:
            raise ResumeError(
                f'{self.folder} holds unfinished work of another run: {"; ".join(differing)}. '
                'Resume with the same arguments, or start anew without resume.'
            )

    def _found_manifest(self) -> dict[str, Any] | None:
        """What decides the output of the run that began this folder; None where it is not told."""
        try:
            found = json.loads((self.folder / MANIFEST).read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and 'network' in found else None

    def _blocks(self) -> dict[int, Path]:
        """Files of row blocks, whatever they hold."""
        found = ((path.stem.removeprefix('band-'), path) for path in self.folder.glob('band-*.npz'))
        return {int(number): path for number, path in found if number.isdecimal()}

    def _path(self, block: int) -> Path:
        return self.folder / f'band-{block:06d}.npz'


def digest(manifest: Mapping[str, Any]) -> str:
    """Short text that changes with anything that decides the pixels of a map.

    Args:
        manifest: what decides them, as JSON.

    Returns:
        a hash.
    """
    text = json.dumps(manifest, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _run_of(path: Path) -> str:
    """Fingerprint of the run that wrote a row block; empty for what is damaged or tells none."""
    try:
        with zipfile.ZipFile(path) as archive:
            whole = archive.testzip() is None
        with np.load(path, allow_pickle=False) as arrays:
            return str(arrays[RUN]) if whole else ''
    except DAMAGED as error:
        _raise_system(error)
        return ''


def _raise_system(error: Exception) -> None:
    """Do not take a file for damaged that the system does not let us read."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
