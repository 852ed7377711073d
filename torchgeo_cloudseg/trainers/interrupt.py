"""Ctrl-C, and signals that end or requeue a job, between the steps of a training."""

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

logger = logging.getLogger(__name__)

Handler = Callable[[int, FrameType | None], Any]

#: What ends a training, or has it saved: Ctrl-C, a scheduler's end, SLURM's announcement of one.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ('SIGINT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2')
    if hasattr(signal, name)  # Windows has not all of them
)


class InterruptAfterStep(Callback):
    """Let Ctrl-C, SIGTERM and SLURM's signal wait for the end of a training step.

    In the middle of a step the weights may be those after it and the counters those before it. A
    checkpoint saved then would repeat the step when training is resumed, and every loss from then
    on would be another one. A signal that comes twice does not wait.

    Example:
        >>> from lightning.pytorch import Trainer
        >>> trainer = Trainer(callbacks=InterruptAfterStep(), accelerator='cpu', logger=False)
        >>> any(isinstance(callback, InterruptAfterStep) for callback in trainer.callbacks)
        True
    """

    def __init__(self) -> None:
        """Initialize a new InterruptAfterStep instance."""
        super().__init__()
        #: What handles a signal that is held back, and which ones have come.
        self._handlers: dict[int, Handler] = {}
        self._asked: list[int] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Hold signals back; Ctrl-C unless somebody else handles it.

        Args:
            trainer: the trainer.
            pl_module: the task.
            batch: a batch.
            batch_idx: index of the batch in the epoch.
        """
        # Python lets the main thread alone change handlers
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for signum in SIGNALS:
            handler = signal.getsignal(signum)
            foreign = signum == signal.SIGINT and handler is not signal.default_int_handler
            if callable(handler) and not foreign:
                self._handlers[signum] = handler
                signal.signal(signum, self._hold)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let signals through that came during the step.

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
        handlers, asked = self._handlers, self._asked
        self._release()
        for signum in asked:
            handlers[signum](signum, None)

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
        """Note a signal; let the second one through."""
        if signum in self._asked:
            handler = self._handlers[signum]
            self._release()
            handler(signum, frame)
            return
        self._asked.append(signum)
        logger.warning(
            '%s: it is heeded after this training step; a second one stops it now.',
            signal.Signals(signum).name,
        )

    def _release(self) -> None:
        """Give signals back to those who handle them."""
        for signum, handler in self._handlers.items():
            if signal.getsignal(signum) == self._hold:
                signal.signal(signum, handler)
        self._handlers, self._asked = {}, []
