"""What stands above a survey in every format, and the colours of the kinds of heads."""

from regard.watch.head_kinds import KINDS
from regard.watch.survey.findings import Survey

# Paul Tol's muted scheme, which the colour-blind can tell apart.
_PALETTE = (
    "#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499", "#bbbbbb",
)  # fmt: skip

COLORS = {kind: _PALETTE[i % len(_PALETTE)] for i, kind in enumerate(KINDS)}


def title_of(survey: Survey) -> str:
    """Return the title."""
    return f"What the heads of {survey.settings['model']} do over {survey.settings['corpus']}"


def facts_of(survey: Survey) -> list[str]:
    """Return what was read, and what was not, in sentences."""
    tally, reading = survey.tally, survey.reading
    heads = sum(site.heads for site in tally.sites.values())
    facts = [
        f"{tally.documents:,} documents, {tally.queries:,} tokens; {heads} heads at {len(tally.sites)} sites."
        " Means over documents with 95 % intervals."
    ]
    if reading.truncated:
        facts.append(
            f"{reading.truncated:,} documents were read up to {survey.settings['max_tokens']} tokens only."
        )
    if reading.bad:
        reasons = ", ".join(f"{count:,} x {reason}" for reason, count in reading.bad.items())
        first = "; ".join(place for _, place, _ in reading.places[:5])
        facts.append(f"{sum(reading.bad.values()):,} could not be read ({reasons}): {first} …")
    return facts
