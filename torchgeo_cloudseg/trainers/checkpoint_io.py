"""How Lightning writes and reads checkpoints of our tasks: whole files, and no code in them."""

import os
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelCheckpoint
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from .._files import replacing
from ..models.weights import read_weights, write_weights


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads away from the file system.

    Args:
        path: a path or a URL.

    Returns:
        True for a URL.
    """
    return '://' in os.fspath(path)


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its target, and reads nothing but plain data.

    Lightning's own writes into the folder for temporary files: where that lies on another file
    system, a process that is killed leaves a part of the checkpoint under the final name. And it
    runs the code that a checkpoint at a URL holds.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        """Write a checkpoint that is complete or absent.

        Args:
            checkpoint: what is saved.
            path: the file, or a URL.
            storage_options: None.
        """
        if is_url(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, os.fspath(path), storage_options)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, durable=True) as draft:
            write_weights(checkpoint, draft)

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Any | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU, without running code.

        Args:
            path: the file.
            map_location: without effect; Lightning moves what it loads.
            weights_only: without effect; nothing else is ever read.

        Returns:
            what was saved.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is a URL, or holds anything but plain data.
        """
        # tensors that are mapped would change with the file, if that is written to
        content: dict[str, Any] = apply_to_collection(read_plain(path), Tensor, Tensor.clone)
        return content


def read_plain(path: str | os.PathLike[str]) -> Any:
    """Read a checkpoint that somebody gives.

    Args:
        path: a file.

    Returns:
        what was saved.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a URL, or holds anything but plain data.
    """
    if is_url(path):
        raise ValueError(
            f'{os.fspath(path)}: found a URL, expected a file. Download it, and give the path of '
            'the file.'
        )
    return read_weights(path)


def require_writable(folder: str | os.PathLike[str]) -> None:
    """Find out before a training whether its checkpoints can be written.

    Args:
        folder: where they are to be; made where it is missing.

    Raises:
        OSError: if nothing can be written there.
    """
    if is_url(folder):
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with replacing(Path(folder) / 'writable') as draft:
            draft.touch()
        (Path(folder) / 'writable').unlink()
    except OSError as error:
        raise OSError(
            f'{os.fspath(folder)}: checkpoints cannot be written there ({error.strerror}). Give '
            'another `dirpath` to ModelCheckpoint, or another `default_root_dir` to the trainer.'
        ) from error


def best_first(callbacks: list[Callback]) -> None:
    """Have checkpoints of the best score written before those that a training goes on from.

    A checkpoint holds what its callbacks knew when it was written: the last one, written first,
    would not know the best one, and a resumed training would write another beside that.

    Args:
        callbacks: those of a trainer; sorted in place.
    """
    callbacks.sort(key=lambda each: isinstance(each, ModelCheckpoint) and each.monitor is None)


def refuse_second_run(callback: Checkpoint) -> None:
    """Refuse to write a checkpoint beside one of the same name from an earlier training.

    Lightning would number it (``teacher-v1.ckpt``), and whoever reads ``teacher.ckpt`` would go on
    reading the old one.

    Args:
        callback: what writes checkpoints.

    Raises:
        FileExistsError: if there is one, whose name says nothing of epoch, step or score, and of
            which a checkpoint that training goes on from does not know.
    """
    folder, name = getattr(callback, 'dirpath', None), getattr(callback, 'filename', None)
    if not (isinstance(callback, ModelCheckpoint) and folder and name) or '{' in name:
        return
    path = Path(folder, name + callback.FILE_EXTENSION)
    own = {callback.best_model_path, callback.last_model_path, *callback.best_k_models}
    if callback._enable_version_counter and path.exists() and str(path) not in own:
        raise FileExistsError(
            f'{path}: is there from an earlier training. Give each run a folder of its own '
            '(`dirpath`; a student finds its teacher by `teacher`), go on from a checkpoint with '
            '--ckpt_path, or remove the earlier run.'
        )
