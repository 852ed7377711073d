"""Finished row blocks of a map, kept in files of their own until the whole map is there.

A run that is killed loses nothing but the row block it was working on; several processes can work
on one map, each on its own row blocks.
"""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._files import replacing
from ..errors import OutputError, ResumeError, cannot_write

logger = logging.getLogger(__name__)

#: File that tells what a folder of row blocks belongs to.
MANIFEST = 'manifest.json'


class RowBlockStore:
    """A folder ``<output>.parts`` beside an output, with one file per finished row block."""

    def __init__(self, output_path: Path) -> None:
        """Initialize a new RowBlockStore instance; nothing is written yet.

        Args:
            output_path: the output that the row blocks belong to.
        """
        self.output_path = output_path
        self.folder = output_path.with_name(f'{output_path.name}.parts')

    def prepare(self, manifest: Mapping[str, Any], resume: bool) -> None:
        """Make the folder, or take up an earlier one.

        Args:
            manifest: what decides the pixels of the output, as JSON.
            resume: carry on where an earlier run was interrupted; otherwise start anew.

        Raises:
            ResumeError: if the earlier run was about something else.
            OutputError: if the folder cannot be written.
        """
        path = self.folder / MANIFEST
        wanted = json.loads(json.dumps(manifest))
        if self.folder.exists() and not resume:
            logger.warning('%s: starting anew; finished rows of an earlier run go.', self.folder)
            shutil.rmtree(self.folder)
        if path.exists():
            found = self.manifest()
            differing = [
                f'{key}: {found.get(key)} then, {wanted.get(key)} now'
                for key in sorted({*found, *wanted})
                if found.get(key) != wanted.get(key)
            ]
            if differing:
                raise ResumeError(
                    f'{self.folder} holds unfinished work of another run: {"; ".join(differing)}. '
                    'Resume with the same arguments, or start anew without resume.'
                )
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path, durable=True) as draft:
                draft.write_text(json.dumps(wanted, indent=1))
        except OSError as error:
            raise self.cannot_write(error) from error

    def manifest(self) -> dict[str, Any]:
        """What decides the pixels of the output, as the run that began it said.

        Returns:
            the manifest given to :meth:`prepare`.
        """
        manifest: dict[str, Any] = json.loads((self.folder / MANIFEST).read_text())
        return manifest

    def finished(self) -> set[int]:
        """Row blocks that are there and complete.

        Returns:
            their indices.
        """
        paths = {int(path.stem.split('-')[1]): path for path in self.folder.glob('band-*.npz')}
        return {block for block, path in paths.items() if zipfile.is_zipfile(path)}

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
                np.savez(draft, **arrays)
        except OSError as error:
            raise self.cannot_write(error) from error

    def read(self, block: int, product: str) -> NDArray[Any]:
        """Read a product of a row block.

        Args:
            block: its index.
            product: name of the product.

        Returns:
            values (bands, rows, width).
        """
        with np.load(self._path(block), allow_pickle=False) as arrays:
            values: NDArray[Any] = arrays[product]
            return values

    def remove(self) -> None:
        """Remove the folder, when the output is complete."""
        shutil.rmtree(self.folder)

    def cannot_write(self, cause: Exception) -> OutputError:
        """The error for output that cannot be written.

        Args:
            cause: what went wrong.

        Returns:
            an error that names the output and the remedy.
        """
        remedy = f'then run again with resume: finished rows are kept in {self.folder.name}'
        return cannot_write(self.output_path, cause, remedy)

    def _path(self, block: int) -> Path:
        return self.folder / f'band-{block:06d}.npz'
