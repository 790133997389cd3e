"""What maps highlight, word by word: importance of words by the attention that a record holds."""

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.errors import ShapeError, WatchError
from regard.watch.chains.rollout import rollout
from regard.watch.faithfulness.text_answer import sum_by_word
from regard.watch.record import Record
from regard.watch.site import Site

SHOWN = "head shown"
# How many tokens are followed through the layers at once.
_ROWS = 256


def word_scores(
    record: Record,
    words: Sequence[int] | Tensor,
    *,
    shown: tuple[Site, int] | None = None,
    place: int | None = None,
    item: int = 0,
) -> dict[str, Tensor]:
    """Return for several explanations the importance (units,) of each word, summed over its tokens.

    "head shown" is the weight that words receive in one head; "all heads" that in the mean over all heads; "last
    layer" that in the mean over the heads of the last layer, from the token at which the answer is read, or from
    all; "rollout" what of a word reaches that token, or all in the mean, through all layers. Of an encoder-decoder
    the cross-attention is read, as the text reaches the answer through it, and there is no rollout.

    Args:
        record: what was seen while the model read the text; it must have kept "received" and "rows".
        words: (N,) number of each token's word, from 0; -1 for tokens that are none.
        shown: a site and a head of it.
        place: the token from whose position the answer is read; None where there is no single one.
        item: which batch item.

    Raises:
        WatchError: no site has the text as its keys.
        NotKeptError: the record did not keep what it takes.
    """
    numbers = torch.as_tensor(words, dtype=torch.long)
    if not bool((numbers >= 0).any()):
        raise ShapeError("words: expected at least one word (a number from 0)")
    sites = [site for site in record if site.kind == "cross"] or list(record)
    if not sites or any(site.sizes.keys != len(numbers) for site in sites):
        raise WatchError(
            f"expected attention calls over the {len(numbers)} tokens of the text; got"
            f" {', '.join(str(site.sizes.keys) for site in sites) or 'none'}"
        )
    by_token = {} if shown is None else {SHOWN: shown[0].received[item, shown[1]]}
    by_token["all heads"] = torch.stack([site.received[item].mean(0) for site in sites]).mean(0)
    last = sites[-1]
    by_token["last layer"] = (last.received[item] if place is None else last.rows(place)[item, :, 0]).mean(0)
    if last.kind == "self":
        starts = torch.arange(len(numbers)) if place is None else torch.tensor([place])
        paths = [rollout(sites, some)[item] for some in starts.split(_ROWS)]
        by_token["rollout"] = torch.cat(paths).mean(0)
    return {name: sum_by_word(values.cpu().double(), numbers) for name, values in by_token.items()}
