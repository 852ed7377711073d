"""Ctrl-C between the steps of a training."""

import logging
import signal
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

logger = logging.getLogger(__name__)


class InterruptAfterStep(Callback):
    """Let Ctrl-C wait for the end of a training step.

    In the middle of a step the weights may be those after it and the counters those before it. A
    checkpoint saved then would repeat the step when training is resumed, and every loss from then
    on would be another one. Pressed twice, Ctrl-C does not wait.
    """

    def __init__(self) -> None:
        """Initialize a new InterruptAfterStep instance."""
        super().__init__()
        self._asked = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Hold interrupts back, unless somebody else handles them.

        Args:
            trainer: the trainer.
            pl_module: the task.
            batch: a batch.
            batch_idx: index of the batch in the epoch.
        """
        handled = signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        # Python lets the main thread alone change handlers
        if not handled and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._hold)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let an interrupt through that came during the step.

        Args:
            trainer: the trainer.
            pl_module: the task.
            outputs: what the step gave.
            batch: a batch.
            batch_idx: index of the batch in the epoch.

        Raises:
            KeyboardInterrupt: if Ctrl-C was pressed.
        """
        batches = batch_idx + 1
        if batches % trainer.accumulate_grad_batches and batches < trainer.num_training_batches:
            return  # gradients that are still being added up are in no checkpoint
        asked = self._asked
        self._release()
        if asked:
            raise KeyboardInterrupt

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave no handler behind.

        Args:
            trainer: the trainer.
            pl_module: the task.
            exception: what went wrong.
        """
        self._release()

    def _hold(self, signum: int, frame: FrameType | None) -> None:
        """Note an interrupt; let the second one through."""
        if self._asked:
            self._release()
            raise KeyboardInterrupt
        self._asked = True
        logger.warning('Interrupted: training stops after this step. Ctrl-C again stops it now.')

    def _release(self) -> None:
        """Give interrupts back to Python."""
        if signal.getsignal(signal.SIGINT) == self._hold:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._asked = False
