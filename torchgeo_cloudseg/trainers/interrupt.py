"""Ctrl-C, and signals that end or requeue a job, between the steps of a training."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

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
    on would be another one. Between an epoch's last step and its validation, and from the end of a
    validation to the next step, Lightning's counters say that nothing is left to validate. Signals
    are heeded at the end of a step, and at once during a validation, which begins anew when
    training is resumed. A signal that comes twice does not wait.

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
        self._process = os.getpid()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hold signals back; Ctrl-C unless somebody else handles it.

        Args:
            trainer: the trainer.
            pl_module: the task.
        """
        self._catch()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let signals through that have come since the last step.

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
        # nothing public tells whether a validation is due; there is a fetcher while it trains
        fit_loop = trainer.fit_loop
        if fit_loop.epoch_loop._should_check_val_fx(fit_loop._data_fetcher):  # type: ignore[arg-type]
            return  # a validation that has not begun would be left out when training is resumed
        asked, self._asked = self._asked, []
        for signum in asked:
            self._handlers[signum](signum, None)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let signals through, also those that come during the validation.

        Args:
            trainer: the trainer.
            pl_module: the task.

        Raises:
            KeyboardInterrupt: if Ctrl-C was pressed.
        """
        self._let_through()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hold signals back again, where a training goes on.

        Args:
            trainer: the trainer.
            pl_module: the task.
        """
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._catch()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let signals through.

        Args:
            trainer: the trainer.
            pl_module: the task.

        Raises:
            KeyboardInterrupt: if Ctrl-C was pressed.
        """
        self._let_through()

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

    def _catch(self) -> None:
        """Hold signals back from now on."""
        # Python lets the main thread alone change handlers
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        self._process = os.getpid()
        for signum in SIGNALS:
            handler = signal.getsignal(signum)
            foreign = signum == signal.SIGINT and handler is not signal.default_int_handler
            if callable(handler) and not foreign:
                self._handlers[signum] = handler
                signal.signal(signum, self._hold)

    def _let_through(self) -> None:
        """Hold signals back no longer, neither those that have come."""
        handlers, asked = self._handlers, self._asked
        self._release()
        for signum in asked:
            handlers[signum](signum, None)

    def _hold(self, signum: int, frame: FrameType | None) -> None:
        """Note a signal; let the second one through."""
        if os.getpid() != self._process:
            # in a process that loads data: it ends with the training, or when that ends it
            if signum == signal.SIGTERM:
                os._exit(128 + signum)
            return
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
