"""The mean of a site's heads, as a site of one head that can be shown like any other."""

from dataclasses import replace

from regard.engines.statistics import STATISTICS
from regard.watch.kept import Kept
from regard.watch.seams.given_weights import normalizers, problem_of
from regard.watch.site import Site, statistics_of


def averaged(site: Site) -> Site:
    """Return a site whose one head has the mean of the heads' weights; it keeps these, and no values.

    Args:
        site: one that kept its rows, small enough for all its weights.

    Raises:
        NotKeptError: it kept no rows.
        WatchError: its weights are too many.
    """
    P = site.weights().mean(1, keepdim=True)  # (B, 1, Nq, Nk)
    problem = problem_of(P, P.new_zeros(()).expand(P.shape[0], 1, P.shape[3], 1))
    kept = Kept(problem, normalizers(P))
    return replace(
        site,
        path=f"mean of the heads of {site.name}",
        call=0,
        sizes=problem.sizes,
        statistics=statistics_of(kept, STATISTICS, site.cells, site.start),
        masses={},
        kept=kept,
    )
