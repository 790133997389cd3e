"""What a training knows beside weights and optimizer, and all three written as one file."""

import pickle
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.errors import TaskError
from regard.writing import written_whole

_VERSION = 1


@dataclass
class State:
    """What is counted while a model is trained.

    Attributes:
        update: how many updates were made.
        tokens: how many tokens they read.
        seconds: how long they took, over all sittings.
        loss: the sum of the losses since the last line of metrics, of this process; and what divides it:
        count: how many tokens, or rows, these were.
        checked: the last update after which the model was checked.
        best: the first metric of the best check so far, or its loss turned negative where nothing is scored.
        best_update: the update of that check; 0 before there was one.
        gainless: checks since then.
    """

    update: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: Tensor | float = 0.0
    count: float = 0.0
    checked: int = 0
    best: float | None = None
    best_update: int = 0
    gainless: int = 0


def write_state(path: Path, state: State, weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
    """Write all that training needs to go on, in one step: a process killed at any time leaves the old or the new.

    Raises:
        TaskError: the file cannot be written.
    """
    facts = {**asdict(state), "loss": float(state.loss)}
    content = {"version": _VERSION, "state": facts, "weights": weights, "optimizer": optimizer}
    with written_whole(path, TaskError) as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # Of a full disk, where torch fails once more as it tidies up.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read_state(path: Path) -> tuple[State, dict[str, Any], dict[str, Any]]:
    """Return the state, the weights and the optimizer's state that were written.

    Raises:
        TaskError: the file is damaged, or of another version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["version"] != _VERSION or content["state"].keys() != {field.name for field in fields(State)}:
            raise KeyError("version")
        return State(**content["state"]), content["weights"], content["optimizer"]
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        best = path.with_name("best.pt")
        others = best.exists() and best != path
        raise TaskError(
            f"{path}: expected the state of a training, as this version of regard writes it; "
            f"got another or a damaged one ({_first_of(error)}). "
            + ("Delete it: training goes on from best.pt beside it" if others else "Begin anew with --force")
        ) from error


def _first_of(error: Exception) -> str:
    """Return an error's first sentence: of a file that is no state, torch advises to trust it."""
    return " ".join(str(error).partition(". ")[0].split())
