"""A probe: what a head does on a text made up to find one sort of head; and its scores by head."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from regard.errors import UnknownSiteError
from regard.watch.heads.estimate import Estimate
from regard.watch.heads.listing import listed

# From which score on a head is named after it. Wu et al. 2024 count retrieval heads from 0.1 on; of the others no
# paper states one, and a head that explains this much of its weight is named by the rules of shares as well.
NAMED_FROM: Mapping[str, float] = {"induction": 0.4, "duplicate": 0.4, "retrieval": 0.1}


@dataclass(frozen=True, eq=False)
class Probe:
    """Scores of every head on made-up texts; prints as a table, best heads first.

    Attributes:
        name: "induction" or "retrieval".
        how: how it was measured, in words.
        measured: for each score and each site's name, (H, trials), each from 0 to 1.
        causal: whether no query saw a later key. In a model that sees the whole text at once, the same weights are
            measured, but no head there needs to look back for what comes next: read them as what the head attends
            to when a text repeats itself, not as copying.
        left_out: sites that are no self-attention over the whole text, and so have no score.
    """

    name: str
    how: str
    measured: Mapping[str, Mapping[str, Tensor]]
    causal: bool
    left_out: tuple[str, ...] = field(default=())

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of the scores."""
        return tuple(self.measured)

    def estimate(self, score: str, site: str, head: int) -> Estimate:
        """Return the mean score of a head over trials, with its 95 % interval.

        Raises:
            UnknownSiteError: there is no such score, site or head.
        """
        trials = self.measured.get(score, {}).get(site)
        if trials is None or not 0 <= head < len(trials):
            raise UnknownSiteError(
                f"expected a score ({', '.join(self.scores)}), a site ({', '.join(self._sites) or 'none'}) and one"
                f" of its heads; got {score!r}, {site!r}, {head}"
            )
        return Estimate.of(trials[head].tolist())

    def kinds(self, site: str, head: int) -> tuple[str, ...]:
        """Return what the probe names a head: every score whose mean reaches NAMED_FROM."""
        return tuple(
            score
            for score in self.scores
            if score in NAMED_FROM
            and site in self.measured[score]
            and self.estimate(score, site, head).mean >= NAMED_FROM[score]
        )

    def table(self, by: str | None = None, count: int | None = None) -> str:
        """Return the scores as text, a line a head.

        Args:
            by: the score to sort by. Default: the first.
            count: how many heads to list. Default: all.
        """
        rows = [
            {"site": site, "head": head}
            | {score: self.estimate(score, site, head) for score in self.scores}
            | {"kind": ", ".join(self.kinds(site, head))}
            for site in self._sites
            for head in range(len(self.measured[self.scores[0]][site]))
        ]
        return listed(rows, self.scores[0] if by is None else by, count)

    def __str__(self) -> str:
        notes = [self.how]
        if not self.causal:
            notes.append("the model sees later tokens too: scores say what a head attends to, not that it copies")
        if self.left_out:
            notes.append(f"left out: {', '.join(self.left_out)}")
        return "\n".join([*notes, self.table()])

    @property
    def _sites(self) -> tuple[str, ...]:
        return tuple(self.measured[self.scores[0]])
