"""Archives as folders: Python lists what is in them, GDAL reads it."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePath, PurePosixPath

from .errors import SceneError, check_plain
from .name import ARCHIVED, gdal_name, on_disk
from .open import FileState, file_state

#: What Python raises for an archive that is broken, or locked by a password.
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, ValueError,
          NotImplementedError, KeyError, OSError)  # fmt: skip

#: Endings of archives whose files are read where they are, and GDAL's file system for each.
SYSTEMS = {'.zip': 'vsizip', '.tar': 'vsitar', '.tar.gz': 'vsitar', '.tgz': 'vsitar'}


class ArchivePath(PurePosixPath):
    """A file or folder in an archive on this machine, with what products take of pathlib.

    Its text is what GDAL opens: ``/vsizip/{/data/S2A_MSIL2A.zip}/S2A_MSIL2A.SAFE``.

    Example:
        >>> path = ArchivePath('/vsizip/{/data/S2A_MSIL2A.zip}/S2A_MSIL2A.SAFE')
        >>> path.archive, path.member
        ('/data/S2A_MSIL2A.zip', 'S2A_MSIL2A.SAFE')
    """

    @property
    def name(self) -> str:
        """The last part; of the whole archive, its name without ending."""
        if self.member:
            return super().name
        return re.sub(r'(\.tar)?\.\w+$', '', PurePath(self.archive).name)

    @property
    def archive(self) -> str:
        """The archive."""
        return ARCHIVED.sub(r'\2', str(self)).removesuffix(f'/{self.member}')

    @property
    def member(self) -> str:
        """The name within the archive; empty for all of it."""
        return str(self).partition('}/')[2]

    def iterdir(self) -> Iterator[ArchivePath]:
        """What is in a folder."""
        return self.glob('*')

    def glob(self, pattern: str) -> Iterator[ArchivePath]:
        """What is in a folder, as deep as the pattern says, and matches."""
        depth = len(self.parts) + len(PurePath(pattern).parts)
        return (path for path in self.rglob(pattern) if len(path.parts) == depth)

    def rglob(self, pattern: str) -> Iterator[ArchivePath]:
        """What is in a folder, however deep, and matches."""
        start = f'{self.member}/' if self.member else ''
        inside = (name.removeprefix(start) for name in self._entries() if name.startswith(start))
        return (path for path in map(self.joinpath, inside) if path.match(pattern))

    def is_file(self) -> bool:
        """Whether it is a file."""
        return self._entries().get(self.member, False)

    def is_dir(self) -> bool:
        """Whether it is a folder, or the whole archive."""
        return not self.member or not self._entries().get(self.member, True)

    def read_bytes(self) -> bytes:
        """Read a file.

        Returns:
            what is in it.

        Raises:
            SceneError: if it cannot be read.
        """
        try:
            if 'vsizip' in self.parts:
                with zipfile.ZipFile(self.archive) as archive:
                    return archive.read(self.member)
            with tarfile.open(self.archive) as tar:
                names = {_normal(name): name for name in tar.getnames()}
                file = tar.extractfile(names[self.member])
                return file.read() if file else b''
        except BROKEN as error:
            raise _broken(self.archive, error) from error

    def _entries(self) -> Mapping[str, bool]:
        return _entries(self.archive, 'vsizip' in self.parts, file_state(self.archive))


def folder_at(path: str) -> Path | ArchivePath | None:
    """A folder, or an archive or part of it that is like one.

    Args:
        path: a name of any kind.

    Returns:
        the folder; None where it is something else.

    Raises:
        SceneError: if it is an archive that cannot be read.

    Example:
        >>> folder_at(str(folder)) == folder, folder_at('p_1.tif')
        (True, None)
    """
    if os.path.isdir(path):  # noqa: PTH112 - not every name is one for pathlib
        return Path(path)
    archive = on_disk(path)
    system = next((SYSTEMS[end] for end in SYSTEMS if archive.lower().endswith(end)), None)
    if not archive or system is None:
        return None
    check_plain(archive)
    member = gdal_name(path).partition(archive)[2].strip('}/')
    whole = os.path.abspath(archive)  # noqa: PTH100 - pathlib keeps '..' or follows links
    folder = ArchivePath(f'/{system}/{{{whole}}}', member)
    if not folder.is_dir():
        return None
    inside = list(folder.iterdir())
    # as most products are packed: in a folder of their own
    return inside[0] if not member and len(inside) == 1 and inside[0].is_dir() else folder


@lru_cache(maxsize=256)
def _entries(
    archive: str,
    zipped: bool,
    state: FileState,  # noqa: ARG001 - a changed one is looked at again
) -> Mapping[str, bool]:
    """Names in an archive, those of folders too, and whether each is a file."""
    try:
        if zipped:
            with zipfile.ZipFile(archive) as file:
                files = [name for name in file.namelist() if not name.endswith('/')]
        else:
            with tarfile.open(archive) as tar:
                files = [member.name for member in tar if member.isfile()]
    except BROKEN as error:
        raise _broken(archive, error) from error
    # where macOS puts what no other system needs
    names = sorted(_normal(name) for name in files if not name.startswith('__MACOSX/'))
    folders = {str(folder): False for name in names for folder in PurePosixPath(name).parents}
    return folders | dict.fromkeys(names, True)


def _normal(name: str) -> str:
    """A name as GDAL has it, without './' before it."""
    return str(PurePosixPath(name))


def _broken(archive: str, error: Exception) -> SceneError:
    return SceneError(
        archive, f'an unreadable archive ({error})', 'a complete one without a password',
        'Download it again, or unpack it and give the folder.',
    )  # fmt: skip
