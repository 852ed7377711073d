"""Files that are complete or absent, have one writer at a time, and replace nothing unasked.

What a run was writing when it was killed is removed by the next one that writes there.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from ._owner import Owner

#: Endings of files beside a raster that GDAL takes for part of it.
SIDECARS = ('.aux.xml', '.ovr', '.msk', '.msk.ovr')

#: A draft of a process: machine, process, start, and a number of its own.
_DRAFT = re.compile(r'\.([0-9a-f]{8})-([0-9a-f]+)-([0-9a-f]+)-[0-9a-f]{8}\.')

#: Bytes of a name of a file, to which marks and endings are added; 255 are possible.
LONGEST_NAME = 120

#: Age in seconds at which drafts count as left behind, whoever made them.
OLD_DRAFT_S = 86_400

#: Seconds after which a lock without a name counts as left behind: who makes one writes his name
#: into it at once, unless he is killed just then.
NAMELESS_S = 3.0

#: Seconds between two looks at a lock that somebody else has.
LOOK_S = 0.5


class OutputError(OSError):
    """A file that could not be written, such as on a full disk. What was computed is kept."""


@contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Write a file under another name, and give it its own once it is complete.

    Args:
        path: the file, in a folder that exists.
        durable: make sure that it is on disk, even if the machine stops.

    Yields:
        where to write it, beside it and with the same ending. What is there is removed if writing
        fails; a file that was there before stays.
    """
    with _draft(path) as draft:
        yield draft
        if durable:
            with draft.open('rb+') as file:
                os.fsync(file.fileno())
        draft.replace(path)


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Another name for every writer, on whatever machine; writers go by the ending."""
    _remove_drafts(path.parent)
    owner = Owner.here()
    mark = f'{owner.machine}-{owner.process:x}-{owner.start:x}-{uuid4().hex[:8]}'
    draft = path.with_name(f'.{mark}.{path.name}')
    try:
        yield draft
    finally:
        for file in (draft, *sidecars(draft)):
            file.unlink(missing_ok=True)


@cache
def _remove_drafts(folder: Path) -> None:
    """Remove what killed processes have left in a folder, once in the life of this one."""
    here = Owner.here()
    try:
        with os.scandir(folder) as files:
            drafts = [(found, file) for file in files if (found := _DRAFT.match(file.name))]
        for found, file in drafts:
            machine, process, start = found[1], int(found[2], 16), int(found[3], 16)
            if machine == here.machine:
                left = here._replace(process=process, start=start).is_gone()
            else:
                left = time.time() - file.stat().st_mtime > OLD_DRAFT_S
            if left:
                Path(file.path).unlink(missing_ok=True)
    except OSError:
        # who cannot write there, or removes the same at the same time, leaves it to others
        return


@contextmanager
def owning(output: Path, wait: bool = False) -> Iterator[None]:
    """Be the only run that writes an output, by a lock ``.<output>.lock`` that names the process.

    Args:
        output: the output, in a folder that exists.
        wait: wait for another run that has it.

    Yields:
        while this run has it. A lock of a process that was killed does not count.

    Raises:
        OutputError: if another run has it, or the folder cannot be written to.
    """
    lock = output.with_name(f'.{output.name}.lock')
    refused, nameless = False, 0.0
    # Ctrl-C may come as soon as the lock is there
    try:
        while not _take(lock, output):
            owner = _owner_of(lock)
            if owner is None and nameless < NAMELESS_S:
                nameless += LOOK_S
                time.sleep(LOOK_S)
                continue
            nameless = 0.0
            if owner is None or owner.is_gone():
                # of two that find the same, one moves it away
                aside = lock.with_name(f'.{uuid4().hex}.lock')
                try:
                    lock.rename(aside)
                except FileNotFoundError:
                    continue
                if _owner_of(aside) == owner:
                    aside.unlink()
                else:
                    # somebody has been faster, and has it
                    aside.rename(lock)
                continue
            if not wait:
                refused = True
                raise OutputError(
                    f'{output}: process {owner.process} on {owner.host} is writing it. Wait for '
                    f'it (--wait), or write elsewhere. If it does not run any more, remove {lock}.'
                )
            time.sleep(LOOK_S)
        yield
    finally:
        if not refused and _owner_of(lock) == Owner.here():
            lock.unlink(missing_ok=True)


def _take(lock: Path, output: Path) -> bool:
    """Make the lock of an output, unless there is one."""
    try:
        file = lock.open('x')
    except FileExistsError:
        return False
    except OSError as error:
        raise cannot_write(output, error) from error
    try:
        with file:
            json.dump(Owner.here()._asdict(), file)
    except OSError as error:
        lock.unlink(missing_ok=True)
        raise cannot_write(output, error) from error
    except BaseException:
        lock.unlink(missing_ok=True)
        raise
    return True


def _owner_of(lock: Path) -> Owner | None:
    """Who has a lock; None for one that is not there, or that names nobody."""
    try:
        return Owner(**json.loads(lock.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def check_outputs(
    outputs: Iterable[Path], inputs: Iterable[str | Path] = (), overwrite: bool = False
) -> None:
    """Refuse outputs that would replace what is read, each other or, unasked, what is there.

    Args:
        outputs: all files to be written.
        inputs: all files to be read; what is no local file is passed over.
        overwrite: whether files that are there may be replaced.

    Raises:
        ValueError: if an output is an input, or the same as another output.
        FileExistsError: if an output, or what GDAL would take for part of it, is there already.
    """
    outputs = list(outputs)
    taken = {_identity(Path(path)): f'its own input {path}' for path in inputs}
    there: list[Path] = []
    for output in outputs:
        old = sidecars(output)
        for path in (output, *old):
            if (other := taken.get(_identity(path))) is not None:
                raise ValueError(
                    f'{path}: found the same file twice, expected different files for all inputs '
                    f'and outputs. It would replace {other}.'
                )
        taken[_identity(output)] = f'the output {output}'
        there += [output] if os.path.lexists(output) else old
    if folders := [path for path in there if path.is_dir()]:
        raise FileExistsError(f'{folders[0]}: found a folder, expected a file or nothing.')
    if there and not overwrite:
        more = f' (and {len(there) - 1} more)' if len(there) > 1 else ''
        raise FileExistsError(
            f'{there[0]}: exists already{more}. Pass --overwrite (overwrite=True) to replace it, '
            'or name another output.'
        )


def check_ending(output: Path, *endings: str) -> None:
    """Refuse an output whose name is that of another kind of file, which it might replace.

    Args:
        output: the file to be written.
        *endings: those that its name may have.

    Raises:
        ValueError: if it has another one.
    """
    if output.suffix.lower() not in endings:
        raise ValueError(f'{output}: give it a name that ends in {" or ".join(endings)}.')


def file_name(text: str) -> str:
    """Make a name for a file of any text, such as one that somebody else has written.

    Args:
        text: the text.

    Returns:
        a name that stays in its folder.
    """
    return re.sub(r'[\x00-\x1f\x7f/\\]', '_', short_name(text)).lstrip('.') or '_'


def short_name(text: str) -> str:
    """A name that can be printed, and be part of a file name.

    Args:
        text: a name of any length.

    Returns:
        the name; a long one cut off, with something that tells it from others.
    """
    whole = text.encode(errors='replace')
    if len(whole) <= LONGEST_NAME:
        return whole.decode()
    mark = blake2b(text.encode(errors='surrogatepass'), digest_size=4).hexdigest()
    return f'{whole[:LONGEST_NAME].decode(errors="ignore")}-{mark}'


def _identity(path: Path) -> object:
    """What two names of one file have in common."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return os.path.realpath(path) if '\0' not in str(path) else str(path)
    return state.st_dev, state.st_ino


def sidecars(path: Path) -> list[Path]:
    """Files beside a raster that GDAL takes for part of it.

    Args:
        path: the raster, whether it is there or not.

    Returns:
        those that are there.
    """
    beside = (path.with_name(path.name + ending) for ending in SIDECARS)
    return [file for file in beside if os.path.lexists(file)]


def publish(files: Mapping[Path, Path]) -> None:
    """Give finished files their names. The last one stands for all: where it is, all are.

    What an earlier run has written under these names goes, and the sidecars that belonged to it.

    Args:
        files: names by where the files are now.
    """
    *_, last = files.values()
    old = {file for output in files.values() for file in sidecars(output)} - set(files.values())
    if old or len(files) > 1:
        # a new file must never stand beside the old ones of another run
        last.unlink(missing_ok=True)
    for file in old:
        file.unlink(missing_ok=True)
    for draft, output in files.items():
        draft.replace(output)


@contextmanager
def writing(
    outputs: Sequence[Path],
    inputs: Iterable[str | Path] = (),
    overwrite: bool = False,
    wait: bool = False,
) -> Iterator[list[Path]]:
    """Write some files that belong together, or none of them.

    Args:
        outputs: the files, in folders that exist; the last one gets its name last.
        inputs: files that are read meanwhile.
        overwrite: whether files that are there may be replaced.
        wait: wait for another run that writes the same.

    Yields:
        where to write them.

    Raises:
        ValueError: see :func:`check_outputs`.
        FileExistsError: see :func:`check_outputs`.
        FileNotFoundError: if a folder does not exist.
        OutputError: if another run is writing them, or they cannot be written.
    """
    inputs = list(inputs)
    check_outputs(outputs, inputs, overwrite)
    for output in outputs:
        if not output.parent.is_dir():
            raise FileNotFoundError(f'{output.parent}: no such folder. Create it first.')
    with owning(outputs[-1], wait), ExitStack() as drafts:
        # while this one waited, the other may have written them
        check_outputs(outputs, inputs, overwrite)
        names = [drafts.enter_context(_draft(output)) for output in outputs]
        try:
            yield names
            publish(dict(zip(names, outputs, strict=True)))
        except (FileNotFoundError, FileExistsError, OutputError):
            raise
        except OSError as error:
            raise cannot_write(outputs[-1], error) from error


def cannot_write(path: Path, cause: Exception, remedy: str = 'then run again') -> OutputError:
    """The error for output that cannot be written.

    Args:
        path: the output.
        cause: what went wrong.
        remedy: what to do when there is room for it.

    Returns:
        an error that names the output and the remedy.
    """
    crowded = getattr(cause, 'errno', None) in (errno.EMFILE, errno.ENFILE)
    action = 'Allow more open files (ulimit -n)' if crowded else 'Make room'
    try:
        free = f'{shutil.disk_usage(path.parent).free >> 20} MiB free'
    except OSError:
        free = 'no such folder'
    return OutputError(
        f'{path}: cannot be written ({cause}; {free}). {action}, or check the permissions, '
        f'{remedy}.'
    )
