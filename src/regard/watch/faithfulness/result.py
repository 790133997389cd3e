"""What a check of faithfulness found, for one text or for several together: frozen records that print as tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import ShapeError, WantError
from regard.watch.faithfulness.curves import DIRECTION, METRICS
from regard.watch.faithfulness.intervals import LEAST_TEXTS, between_draws, of_mean

RANDOM = "random"


@dataclass(frozen=True)
class Gain:
    """By how much an explanation is better than what it is compared with; above 0 is better for every metric.

    Attributes:
        mean: the difference from the mean of random draws, or its mean over texts.
        low: lower end of the interval of 95 %.
        high: upper end.
        at_random: the share of random orders, this one counted among them, that do at least as well; None for
            several texts together.
    """

    mean: float
    low: float
    high: float
    at_random: float | None = None

    @property
    def verdict(self) -> str:
        """Return "more", "less", or "not told apart" where the interval holds 0."""
        return "more" if self.low > 0 else "less" if self.high < 0 else "not told apart"

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """What removing units in the order of each explanation does to one answer.

    Attributes:
        about: the answer in words.
        what: what the units are.
        units: how many there are.
        full: the answer with every unit.
        empty: the answer with none.
        shares: (steps,) share of units removed, or inserted, along the curves.
        deletion_curves: for each explanation the answers (steps,) as units go, the most important first.
        insertion_curves: for each explanation the answers (steps,) as units come, the most important first.
        metrics: for each metric the number of each explanation.
        random: for each metric the numbers (draws,) of random orders.
        seed: what the random orders were drawn from.
    """

    about: str
    what: str
    units: int
    full: float
    empty: float
    shares: Tensor
    deletion_curves: Mapping[str, Tensor]
    insertion_curves: Mapping[str, Tensor]
    metrics: Mapping[str, Mapping[str, float]]
    random: Mapping[str, Tensor]
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        """The explanations, as they were handed in."""
        return tuple(self.deletion_curves)

    @property
    def draws(self) -> int:
        """How many random orders there are."""
        return len(self.random[METRICS[0]])

    def value(self, name: str, metric: str) -> float:
        """Return one number of an explanation; of "random", the mean over draws."""
        _known("metric", metric, METRICS)
        _known("explanation", name, (*self.names, RANDOM))
        return float(self.random[metric].mean()) if name == RANDOM else self.metrics[metric][name]

    def gain(self, name: str, metric: str = "comprehensiveness") -> Gain:
        """Return by how much an explanation is better than random orders.

        The interval is that of the difference from one random order, so it holds 0 for 95 % of explanations that
        are themselves random.

        Source: for the share at random, Phipson & Smyth 2010.
        """
        value, random = self.value(name, metric), self.random[metric] * DIRECTION[metric]
        value *= DIRECTION[metric]
        low, high = between_draws(value - random)
        at_least = int((random >= value).sum())
        return Gain(value - float(random.mean()), low, high, (at_least + 1) / (self.draws + 1))

    def statement(self, name: str, called: str | None = None) -> str:
        """Return in one sentence whether removing what an explanation highlights matters more than random removal.

        Args:
            name: the explanation.
            called: what the sentence calls it; default: its name.
        """
        gain = self.gain(name)
        told = {"not told apart": "about as much as"}.get(gain.verdict, f"{gain.verdict} than")
        by = f"{abs(gain.mean):.3f} {'more' if gain.mean >= 0 else 'less'}"
        return (
            f"Removing the {self.what} that {called or name} highlights changes {self.about} {told} removing random"
            f" ones: {by} (95 % interval {gain.low:+.3f} to {gain.high:+.3f}, {self.draws} random orders)."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the curves as plain data, numbers rounded to six places."""
        return {
            "answer": self.about,
            "full": round(self.full, 6),
            "empty": round(self.empty, 6),
            "units": self.units,
            "draws": self.draws,
            "seed": self.seed,
            "random": self._values(RANDOM),
            "explanations": {
                name: self._values(name)
                | {"better_than_random": {metric: self._gain_as_dict(name, metric) for metric in METRICS}}
                for name in self.names
            },
        }

    def _values(self, name: str) -> dict[str, Any]:
        return {metric: round(self.value(name, metric), 6) for metric in METRICS}

    def _gain_as_dict(self, name: str, metric: str) -> dict[str, float]:
        return {field: round(value, 6) for field, value in asdict(self.gain(name, metric)).items()}

    def __str__(self) -> str:
        first = f"{self.about}: {self.full:.3f} with all {self.units} {self.what}, {self.empty:.3f} with none"
        rows = [(name, self, str(self.gain(name))) for name in self.names]
        return "\n".join([first, *_table([*rows, (RANDOM, self, f"mean of {self.draws} orders")], "random")])


@dataclass(frozen=True, eq=False)
class Together:
    """What checks of several texts found together.

    Attributes:
        texts: how many.
        against: what the explanations are compared with.
        means: for each metric the mean of each explanation over texts.
        gains: for each metric by how much each explanation is better, with Student's interval over texts.
    """

    texts: int
    against: str
    means: Mapping[str, Mapping[str, float]]
    gains: Mapping[str, Mapping[str, Gain]]

    def value(self, name: str, metric: str) -> float:
        """Return the mean of an explanation over texts."""
        return self.means[metric][name]

    def __str__(self) -> str:
        gains = self.gains["comprehensiveness"]
        rows = [(name, self, str(gains[name]) if name in gains else "") for name in self.means[METRICS[0]]]
        return "\n".join([f"means over {self.texts} texts", *_table(rows, self.against)])


def together(results: Sequence[Faithfulness], against: str = RANDOM) -> Together:
    """Return what several texts say together, each counting once.

    Args:
        results: one for each text; what is not in all of them is left out.
        against: what the explanations are compared with, text by text: "random", or one of them.

    Raises:
        ShapeError: fewer than 5 texts.
        WantError: no explanation of that name.
    """
    if len(results) < LEAST_TEXTS:
        raise ShapeError(f"together: expected at least {LEAST_TEXTS} texts; got {len(results)}")
    shared = [name for name in results[0].names if all(name in each.names for each in results)]
    names = [*shared, RANDOM]
    _known("explanation", against, names)
    means: dict[str, dict[str, float]] = {}
    gains: dict[str, dict[str, Gain]] = {}
    for metric, direction in DIRECTION.items():
        values = {name: torch.tensor([each.value(name, metric) for each in results]).double() for name in names}
        better = {name: direction * (values[name] - values[against]) for name in names if name != against}
        means[metric] = {name: float(value.mean()) for name, value in values.items()}
        gains[metric] = {name: Gain(float(value.mean()), *of_mean(value)) for name, value in better.items()}
    return Together(len(results), against, means, gains)


def _table(rows: Sequence[tuple[str, Faithfulness | Together, str]], against: str) -> Iterator[str]:
    width = max(len("explanation"), *(len(name) for name, _, _ in rows))
    yield f"{'explanation':<{width}}" + "".join(f"  {metric}" for metric in METRICS) + f"  better than {against}"
    for name, found, compared in rows:
        numbers = (f"  {found.value(name, metric):>{len(metric)}.3f}" for metric in METRICS)
        yield f"{name:<{width}}{''.join(numbers)}  {compared}".rstrip()
    yield "(better: by comprehensiveness, above 0, with its interval of 95 %)"


def _known(what: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise WantError(f"expected one of {', '.join(names)} as {what}; got {name!r}")
