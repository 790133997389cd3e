"""What translations are worth: BLEU, chrF, and how many are exactly right."""

from collections.abc import Sequence

from regard.tasks.contract import Scores
from regard.tasks.extra import extra
from regard.tasks.translation.settings import TranslationSettings

METRICS = ("BLEU", "chrF", "exact")


def scored(answers: Sequence[str], right: Sequence[str], settings: TranslationSettings) -> Scores:
    """Return the scores of translations beside the right ones, each from 0 to 100.

    BLEU and chrF are those of the whole corpus, by sacreBLEU with its signature.

    Source: Papineni et al. 2002 (BLEU), Popović 2015 (chrF), Post 2018, "A Call for Clarity in Reporting BLEU
    Scores".
    """
    with extra():
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    lower = settings.score_lower or settings.lower
    # It would warn of text that looks cut already, by the name of a parameter that is not the user's.
    bleu = BLEU(tokenize=settings.bleu_words, lowercase=lower, force=True)
    metrics = {"BLEU": bleu, "chrF": CHRF(lowercase=lower)}
    values, signatures = {}, {}
    for name, metric in metrics.items():
        values[name] = float(metric.corpus_score(list(answers), [list(right)]).score) if answers else 0.0
        signatures[name] = str(metric.get_signature()) if answers else ""
    exact = sum(_same(one, other, lower) for one, other in zip(answers, right, strict=True))
    return Scores({**values, "exact": 100 * exact / max(1, len(answers))}, signatures)


def _same(one: str, other: str, lower: bool) -> bool:
    one, other = (" ".join(text.split()) for text in (one, other))
    return one == other or (lower and one.lower() == other.lower())
