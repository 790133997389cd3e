"""What differs between two surveys: every head and statistic, with intervals, the surest differences first."""

from dataclasses import dataclass

from regard.errors import InputError
from regard.watch.survey.estimates import Estimate, estimate, false_discovery, paired, unpaired
from regard.watch.survey.findings import Survey
from regard.watch.tally import STATISTICS, SiteTally


@dataclass(frozen=True)
class Difference:
    """How a head differs in one statistic.

    Attributes:
        site: the site's name.
        head: the head's number.
        statistic: which.
        one, other: its means in the two surveys.
        estimate: mean of one - other, its interval and p value.
        adjusted: the p value, adjusted for the number of differences looked at (Benjamini and Hochberg).
    """

    site: str
    head: int
    statistic: str
    one: float
    other: float
    estimate: Estimate
    adjusted: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What differs between two surveys.

    Attributes:
        one, other: the surveys.
        same_documents: whether both read the same documents; then differences are taken within blocks of documents
            (paired), else between the means.
        differences: all heads and statistics, the surest first.
        missing: sites that only one of them has.
    """

    one: Survey
    other: Survey
    same_documents: bool
    differences: tuple[Difference, ...]
    missing: tuple[str, ...]

    @property
    def changed_kinds(self) -> tuple[tuple[str, int, str, str], ...]:
        """Heads that are of another kind in most documents: site, head, its kind in the other, and in the one."""
        before = {(head.site, head.head): head.kind for head in self.other.tally.heads()}
        heads = [(head.site, head.head, head.kind) for head in self.one.tally.heads()]
        return tuple((s, h, before[s, h], kind) for s, h, kind in heads if before.get((s, h), kind) != kind)


def compare_surveys(one: Survey, other: Survey) -> Comparison:
    """Return what differs between two models or checkpoints (or two corpora), head by head.

    Args:
        one: a survey.
        other: another, whose means are subtracted.

    Raises:
        InputError: something that is no survey, or no site of the one stands in the other with as many heads.
    """
    for each in (one, other):
        if not isinstance(each, Survey):
            raise InputError(
                f"compare_surveys: expected two surveys, as regard.survey returns them; got {type(each).__name__}"
            )
    a, b = one.tally.sites, other.tally.sites
    common = [name for name in a if name in b and (a[name].heads, a[name].kind) == (b[name].heads, b[name].kind)]
    if not common:
        raise InputError(
            f"expected two surveys with heads in common; {one.settings['model']} has {', '.join(a)},"
            f" and {other.settings['model']} has {', '.join(b)}"
        )
    same = one.reading.digest == other.reading.digest and one.tally.documents == other.tally.documents
    found = [
        difference
        for name in common
        for head in range(a[name].heads)
        for i, statistic in enumerate(STATISTICS)
        if (difference := _difference(name, head, i, statistic, a[name], b[name], same)) is not None
    ]
    adjusted = false_discovery([1.0 if d.estimate.p is None else d.estimate.p for d in found])
    told = [
        Difference(d.site, d.head, d.statistic, d.one, d.other, d.estimate, q)
        for d, q in zip(found, adjusted, strict=True)
    ]
    told.sort(key=lambda d: (d.adjusted, -_times_its_error(d.estimate), d.site, d.head, d.statistic))
    return Comparison(one, other, same, tuple(told), tuple(sorted({*a, *b} - set(common))))


def _difference(
    name: str, head: int, column: int, statistic: str, one: SiteTally, other: SiteTally, same: bool
) -> Difference | None:
    """Return the difference of one head in one statistic, or None where it is not known in one of the surveys."""
    means = [
        estimate(int(total.documents[head, column]), total.sums[head, column], site.squares[head, column])
        for site, total in ((one, one.total), (other, other.total))
    ]
    if means[0].mean is None or means[1].mean is None:
        return None
    counts = [{n: int(b.documents[head, column]) for n, b in site.blocks.items()} for site in (one, other)]
    if same and counts[0] == counts[1]:
        sums = [[site.blocks[n].sums[head, column] for n in counts[0]] for site in (one, other)]
        between = paired(list(counts[0].values()), *sums)
    else:
        between = unpaired(means[0], means[1])
    return Difference(name, head, statistic, means[0].mean, means[1].mean, between, 1.0)


def _times_its_error(difference: Estimate) -> float:
    """Return how many standard errors a difference is away from 0."""
    if not difference.error:
        return float("inf") if difference.mean else 0.0
    return abs(difference.mean or 0.0) / difference.error
