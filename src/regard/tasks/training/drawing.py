"""The report that a training ends with: what the best weights attend to in one row."""

from rich.console import Console

from regard.tasks.contract import Row
from regard.tasks.run import Run


def draw(run: Run, row: Row, console: Console | None) -> None:
    """Write the report into the run's folder; where that fails, say so, as the training did not.

    Args:
        run: what was learned.
        row: is asked as a user would ask it.
        console: is told. None: nobody.
    """
    path = run.folder.report
    try:
        path.unlink(missing_ok=True)
        run.look(run.line_of(row)).save(path)
        told = f"wrote {path}, what it attends to in one row"
    except Exception as error:
        told = f"{path} could not be drawn: {' '.join(str(error).split()) or type(error).__name__}"
    if console is not None:
        console.print(told, markup=False, highlight=False, soft_wrap=True)
