"""How a training went, line by line: metrics.csv, and the same for TensorBoard."""

import csv
import io
from pathlib import Path
from typing import Any

from regard.errors import TaskError
from regard.tasks.extra import extra
from regard.writing import write_whole

FIXED = ("update", "seconds", "tokens", "loss", "rate", "valid_loss")


class Metrics:
    """Writes what was measured after an update into a run's folder."""

    def __init__(self, folder: Path, names: tuple[str, ...], update: int) -> None:
        """Open the files, and forget what they say of updates that were not saved.

        Args:
            folder: of the run.
            names: of the scores.
            update: the last one that was made.
        """
        self._names = (*FIXED, *names)
        self._path = folder / "metrics.csv"
        before = [line for line in read_metrics(self._path) if _is_before(line.get("update"), update)]
        lines = map(self._line, [dict(zip(self._names, self._names, strict=True)), *before])
        write_whole(self._path, "".join(lines).encode(), TaskError)
        with extra():
            from lightning.pytorch.loggers import TensorBoardLogger
        self._board = TensorBoardLogger(folder, name="tensorboard", version="", purge_step=update + 1)

    def write(self, **values: float) -> None:
        """Write a line; what was not measured stays empty."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(self._line({name: _told(value) for name, value in values.items()}))
        update = int(values.pop("update"))
        self._board.log_metrics(values, update)
        self._board.experiment.flush()

    def close(self) -> None:
        """Close the files."""
        self._board.experiment.close()

    def _line(self, values: dict[str, Any]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values.get(name, "") for name in self._names)
        return text.getvalue()


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Return the lines of a metrics file, by column; none where there is no file, and no line that is not whole."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return list(csv.DictReader(line for line in lines if line.endswith("\n")))


def _is_before(number: str | None, update: int) -> bool:
    """Return whether a line is of an update that was saved; one without a number is damaged."""
    return number is not None and number.isdecimal() and int(number) <= update


def _told(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"
