"""Ctrl-C and SIGTERM: the same tidying up, and the exit status that shells expect."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What a signal has done, for the message.
WORDS = {signal.SIGINT: 'interrupted', signal.SIGTERM: 'terminated'}


class Stopped(BaseException):
    """The command was told to stop, and has tidied up."""

    def __init__(self, signum: signal.Signals) -> None:
        """Initialize a new Stopped instance.

        Args:
            signum: what told it so.
        """
        super().__init__(WORDS[signum])
        #: Exit status, as shells have it.
        self.status = 128 + signum


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does.

    Raises:
        Stopped: after either.
    """
    received: list[int] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        received.append(signum)
        # a training holds Ctrl-C back between its steps; where Ctrl-C is ignored, this is not
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    # Python lets the main thread alone handle signals
    handles = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if handles else None
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        # Lightning tidies up after an interrupt, and leaves
        causes = error, error.__context__
        if not received and not any(isinstance(cause, KeyboardInterrupt) for cause in causes):
            raise
        raise Stopped(signal.SIGTERM if received else signal.SIGINT) from error
    finally:
        if handles:
            signal.signal(signal.SIGTERM, before)
