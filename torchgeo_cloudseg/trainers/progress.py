"""Progress of training and evaluation where nobody watches a bar."""

from __future__ import annotations

import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from .._progress import Lines, is_quiet, is_watched

#: What is told of a validation.
SCORES = ('train_loss', 'val_loss', 'val_mIoU', 'val_OA')


class LogProgress(Callback):
    """Lines from time to time in place of Lightning's bar, and the scores of every validation.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> trainer = Trainer(
        ...     enable_progress_bar=False, callbacks=[LogProgress()], logger=False, max_epochs=1
        ... )
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count the steps of all epochs.

        Args:
            trainer: the trainer.
            pl_module: the task.
        """
        total, done = trainer.estimated_stepping_batches, trainer.global_step
        finite = int(total) if total != float('inf') else None
        self.steps: Lines[int] = Lines((), 'Training', finite, initial=done)

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        """Count a step.

        Args:
            trainer: the trainer.
            *args: the task, its output, the batch, and its number.
        """
        if trainer.is_global_zero:
            self.steps.update(trainer.global_step - self.steps.done)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the scores.

        Args:
            trainer: the trainer.
            pl_module: the task.
        """
        if trainer.is_global_zero and not trainer.sanity_checking:
            found = trainer.callback_metrics
            scores = [f'{name} {found[name]:.3f}' for name in SCORES if name in found]
            sys.stdout.write(f'epoch {trainer.current_epoch + 1}: {", ".join(scores)}\n')
            sys.stdout.flush()


def watched() -> dict[str, Any]:
    """Arguments of a Trainer by which it tells of progress in the way of the place.

    Returns:
        ``enable_progress_bar`` and ``callbacks``: Lightning's bar on a terminal or in a notebook,
        :class:`LogProgress` elsewhere, neither where progress is not wanted.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> trainer = Trainer(accelerator='cpu', logger=False, **watched())
    """
    bar = is_watched(sys.stdout) and not is_quiet()
    lines = [] if bar or is_quiet() else [LogProgress()]
    return {'enable_progress_bar': bar, 'callbacks': lines}
