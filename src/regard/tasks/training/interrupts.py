"""Ctrl-C and SIGTERM: an update that has begun is finished and saved before the process ends."""

import signal
import threading
from types import FrameType, TracebackType
from typing import NoReturn

# What ends a training; the first is Ctrl-C.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Training ends by a signal; not a KeyboardInterrupt, on which Lightning would exit by itself."""


class Interrupts:
    """Takes signals as long as it is entered.

    Attributes:
        deferred: whether a first signal is only noted, for the training to end after its update; else, and at the
            second one, training ends at once.
        received: the signal that came.
    """

    def __init__(self) -> None:
        self.deferred = False
        self.received: int | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._before = {
                each: signal.getsignal(each) for each in _SIGNALS if signal.getsignal(each) is not signal.SIG_IGN
            }
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)  # type: ignore[arg-type]
        if isinstance(error, Interrupted) or (error is None and self.received is not None):
            # Also where a signal came after the last update had asked for one.
            self.end(error)

    def take(self) -> None:
        """Take signals, also after Lightning took them."""
        for each in self._before:
            signal.signal(each, self._receive)

    def end(self, error: Interrupted | None) -> NoReturn:
        """End as programs do that were interrupted, or told to end."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt from error
        raise SystemExit(128 + signal.SIGTERM) from error

    def _receive(self, number: int, _: FrameType | None) -> None:
        again = self.received is not None
        self.received = number
        if again or not self.deferred:
            raise Interrupted
