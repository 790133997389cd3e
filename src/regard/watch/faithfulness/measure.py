"""`faithfulness`: remove units in the order of explanations and at random, and see what becomes of the answer."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from regard.errors import ShapeError
from regard.watch.faithfulness.curves import BINS, Grid
from regard.watch.faithfulness.intervals import LEAST_DRAWS
from regard.watch.faithfulness.result import RANDOM, Faithfulness

LEAST_UNITS = 4
POSITION = "position"

Answer = Callable[[Tensor], Tensor]


@torch.no_grad()
def faithfulness(
    answer: Answer,
    scores: Mapping[str, Tensor],
    *,
    units: int,
    draws: int = 79,
    steps: int = 10,
    bins: Sequence[float] = BINS,
    seed: int = 0,
    batch: int = 64,
    about: str = "the answer",
    what: str = "units",
    progress: Callable[[int, int], None] | None = None,
) -> Faithfulness:
    """Return what removing units in the order of each explanation does to an answer, next to random removal.

    Beside the explanations handed in, "position" is measured, which removes from first to last, unless scores of
    that name are given. Among units of equal score chance decides, by the seed.

    Args:
        answer: given which units stay, (variants, units) booleans, returns the answer's score (variants,), such as
            the probability of the class that is predicted for the whole.
        scores: for each explanation the importance (units,) of every unit; only their order counts.
        units: how many words, patches or seconds can be removed.
        draws: how many random orders; 39, 79, 119 ... make the interval exact.
        steps: how many even steps the curves have at most.
        bins: the shares at which comprehensiveness and sufficiency are taken, each of at least one unit.
        seed: what random orders are drawn from.
        batch: how many variants are answered at once.
        about: the answer in words.
        what: what the units are, in the plural.
        progress: told how many variants are done, of how many.

    Raises:
        ShapeError: too few units or draws, shares outside of 0 to 1, scores or answers of another shape, or NaN.

    Source: DeYoung et al. 2020 (comprehensiveness, sufficiency), Petsiuk et al. 2018 (deletion, insertion).
    """
    _check(units, draws, steps, bins, batch)
    chance = torch.Generator().manual_seed(seed)
    ranked = {name: _order(name, score, units, chance) for name, score in scores.items()}
    ranked.setdefault(POSITION, torch.arange(units))
    orders = torch.stack([*ranked.values(), *(torch.randperm(units, generator=chance) for _ in range(draws))])
    grid = Grid.of(units, steps, bins)
    without_top = grid.without_top(orders)
    answers = _answers(answer, torch.stack([without_top, ~without_top]), batch, progress)
    metrics = grid.metrics(*answers)
    found = len(ranked)
    return Faithfulness(
        about=about,
        what=what,
        units=units,
        full=float(answers[0, 0, 0]),
        empty=float(answers[1, 0, 0]),
        shares=grid.counts / units,
        deletion_curves=dict(zip(ranked, answers[0], strict=False)),
        insertion_curves=dict(zip(ranked, answers[1], strict=False)),
        metrics={
            metric: dict(zip(ranked, values[:found].tolist(), strict=True)) for metric, values in metrics.items()
        },
        random={metric: values[found:] for metric, values in metrics.items()},
        seed=seed,
    )


def _order(name: str, score: Tensor, units: int, chance: torch.Generator) -> Tensor:
    """Return the units, most important first."""
    if name == RANDOM:
        raise ShapeError(f"scores: {RANDOM!r} is the name of the random orders; choose another")
    score = torch.as_tensor(score).detach().cpu().double()
    if score.shape != (units,) or bool(score.isnan().any()):
        raise ShapeError(
            f"scores: expected a number for each of {units} units; got {name!r} of shape {tuple(score.shape)}"
            + (" with NaN" if bool(score.isnan().any()) else "")
        )
    shuffled = torch.randperm(units, generator=chance)
    return shuffled[score[shuffled].argsort(descending=True, stable=True)]


def _answers(answer: Answer, keep: Tensor, batch: int, progress: Callable[[int, int], None] | None) -> Tensor:
    """Return the answer to everything that stays (..., units), each different one asked for once."""
    variants, places = keep.flatten(0, -2).unique(dim=0, return_inverse=True)
    # Variants of one size stand together, so that shortened texts need little padding.
    by_size = variants.sum(-1).argsort(stable=True)
    answered = torch.empty(len(variants), dtype=torch.float64)
    done = 0
    for chosen in by_size.split(batch):
        part = answer(variants[chosen])
        if part.shape != (len(chosen),) or bool(part.isnan().any()):
            raise ShapeError(
                f"answer: expected a number for each of {len(chosen)} variants; got shape {tuple(part.shape)}"
                + (" with NaN" if bool(part.isnan().any()) else "")
            )
        answered[chosen] = part.detach().cpu().double()
        done += len(chosen)
        if progress is not None:
            progress(done, len(variants))
    return answered[places].view(keep.shape[:-1])


def _check(units: int, draws: int, steps: int, bins: Sequence[float], batch: int) -> None:
    if units < LEAST_UNITS:
        raise ShapeError(f"units: expected at least {LEAST_UNITS} that can be removed; got {units}")
    if draws < LEAST_DRAWS:
        raise ShapeError(
            f"draws: expected at least {LEAST_DRAWS}, as fewer cannot bound an interval of 95 %; got {draws}"
        )
    if steps < 1 or batch < 1:
        raise ShapeError(f"steps and batch: expected at least 1; got {steps} and {batch}")
    if not bins or not all(0 < share <= 1 for share in bins):
        raise ShapeError(f"bins: expected shares above 0 and at most 1; got {tuple(bins)}")
