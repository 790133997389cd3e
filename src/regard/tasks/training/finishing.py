"""The end of a training: which weights are the best."""

import math
from collections.abc import Iterator

from torch import Tensor, nn

from regard.tasks.training.checking import Check
from regard.tasks.training.folder import RunFolder
from regard.tasks.training.processes import Processes
from regard.tasks.training.settings import TrainingSettings
from regard.tasks.training.state import State, read_state
from regard.tasks.training.steering import checks_in, told, update_of
from regard.tasks.training.weights import average, put_weights, read_weights, write_weights


def finish(
    model: nn.Module,
    settings: TrainingSettings,
    state: State,
    check: Check | None,
    folder: RunFolder,
    processes: Processes,
) -> str:
    """Give a model the best weights of a run: of a check, or the average of the last ones if that is no worse.

    Args:
        model: any of the task, on the device of this process.
        settings: how many checks are averaged.
        state: at the end.
        check: decides; without one, the average or the last ones are the best.
        folder: the weights lie there, and are written there.
        processes: the first one writes.

    Returns:
        Which weights they are, in a line.
    """
    best, chosen, scores = state.best, f"update {state.best_update}", ""
    if not state.best_update:
        chosen = f"update {state.update}, the last, as no check could be compared"
    for name, weights in _others(settings, state, folder):
        put_weights(model, weights, folder.checkpoints)
        found = None if check is None else check.run(model, processes.device)
        if found is None or best is None or found.worth >= best:
            best, chosen, scores = (None, name, "") if found is None else (found.worth, name, f": {told(found)}")
            if processes.first:
                write_weights(folder.weights, weights)
    if best is not None and math.isnan(best):
        best = None
    if processes.first:
        folder.note(finished={"weights": chosen, "update": state.update, "seconds": state.seconds, "best": best})
    processes.wait()
    put_weights(model, read_weights(folder.weights), folder.weights)
    return chosen + scores


def _others(settings: TrainingSettings, state: State, folder: RunFolder) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield what may be better than the best check: the last weights if their check was cut off, the average."""
    if state.checked != state.update:
        yield f"update {state.update}", read_state(folder.last)[1]
    if settings.average > 1:
        # Later ones are of a sitting that was killed before it saved its state.
        paths = [path for path in checks_in(folder) if update_of(path) <= state.update][-settings.average :]
        if paths:
            yield f"average of the last {len(paths)} checks", average(paths)
