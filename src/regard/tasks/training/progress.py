"""How far a training is: a bar on a terminal, a line now and then elsewhere."""

import time
from collections import deque
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

# Seconds between two drawings of the bar, and between two lines.
_DRAWN = 0.5
_WRITTEN = 30.0
# Speed is measured from marks so many seconds apart, over so many of them: over some minutes, checks included. The
# first updates are slower than all others, and are left out.
_MARKED = 1.0
_WINDOW = 300
_WARM_UP = 5
# What of a smoothed loss remains when a new one comes.
_REMAINS = 0.9


class Progress(Protocol):
    """What is told how far a training is."""

    def due(self, update: int, tokens: int) -> bool:
        """Take in how far it is after an update, and return whether it is time to be told."""

    def tell(self, update: int, tokens: int, loss: float) -> None:
        """Say how far it is, given the mean loss since the last time."""

    def checked(self, update: int, text: str) -> None:
        """Say what a check found, so that it stays."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class Silent:
    """Says nothing: for the other processes, and where nobody gave a console."""

    def due(self, update: int, tokens: int) -> bool:
        """Return False."""
        return False

    def tell(self, update: int, tokens: int, loss: float) -> None:
        """Do nothing."""

    def checked(self, update: int, text: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Told:
    """What both ways to tell have in common: when, and how fast."""

    every = _DRAWN

    def __init__(self, updates: int, console: Console) -> None:
        self.updates, self.console = updates, console
        self._last = time.monotonic()
        self._cold = _WARM_UP
        self._marks: deque[tuple[float, int, int]] = deque(maxlen=_WINDOW)

    def due(self, update: int, tokens: int) -> bool:
        """Take in how far it is after an update, and return whether it is time to be told."""
        now = time.monotonic()
        self._cold -= 1
        if self._cold < 0 and (not self._marks or now - self._marks[-1][0] >= _MARKED):
            self._marks.append((now, update, tokens))
        return now - self._last >= self.every

    def checked(self, update: int, text: str) -> None:
        """Say what a check found, so that it stays."""
        self.say(f"update {update}: {text}")

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def told(self, update: int, tokens: int, loss: float) -> str:
        """Return the loss and, as soon as they are known, tokens per second and the time left."""
        self._last = time.monotonic()
        then, update_then, tokens_then = self._marks[0] if self._marks else (self._last, update, tokens)
        passed = self._last - then
        if update == update_then or passed <= 0:
            return f"loss {loss:.3f}"
        left = (self.updates - update) * passed / (update - update_then)
        return f"loss {loss:.3f}, {(tokens - tokens_then) / passed:,.0f} tokens/s, {_duration(left)} left"


class BarProgress(_Told):
    """A bar on a terminal, with smoothed loss, tokens per second and the time left; scores scroll by above it."""

    def __init__(self, updates: int, done: int, console: Console) -> None:
        super().__init__(updates, console)
        self._loss: float | None = None
        self._bar = Bar(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            console=console,
        )
        self._task = self._bar.add_task("training", total=updates, completed=done, told="")
        self._bar.start()

    def tell(self, update: int, tokens: int, loss: float) -> None:
        """Draw the bar anew."""
        self._loss = loss if self._loss is None else _REMAINS * self._loss + (1 - _REMAINS) * loss
        self._bar.update(self._task, completed=update, told=self.told(update, tokens, self._loss))

    def checked(self, update: int, text: str) -> None:
        """Say what a check found above the bar, which is then there."""
        super().checked(update, text)
        self._bar.update(self._task, completed=update)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.stop()


class LineProgress(_Told):
    """A line now and then, for logs."""

    every = _WRITTEN

    def tell(self, update: int, tokens: int, loss: float) -> None:
        """Write a line."""
        self.say(f"update {update} of {self.updates}: {self.told(update, tokens, loss)}")

    def close(self) -> None:
        """Do nothing."""


def progress_on(console: Console | None, updates: int, done: int) -> Progress:
    """Return what tells the progress of a training on a console."""
    if console is None:
        return Silent()
    return BarProgress(updates, done, console) if console.is_terminal else LineProgress(updates, console)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
