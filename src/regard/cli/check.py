"""`regard look --check`: whether removing what the map highlights changes the answer more than random removal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.cli.model import TextModel, quiet
from regard.errors import InputError
from regard.reports.panels import Axis, GroupPanel
from regard.watch.faithfulness.measure import LEAST_UNITS, faithfulness
from regard.watch.faithfulness.result import Faithfulness
from regard.watch.faithfulness.text_answer import text_answer
from regard.watch.faithfulness.word_scores import SHOWN, word_scores
from regard.watch.record import Record

RARE = "rare words"
_HEADS = ("ForMaskedLM", "ForCausalLM", "LMHeadModel", "ForSequenceClassification")


@dataclass(frozen=True)
class Check:
    """How to check a map.

    Attributes:
        remove: how words are removed.
        draws: how many random orders to compare with.
        seed: what they are drawn from.
    """

    remove: str
    draws: int
    seed: int

    def of(
        self,
        loaded: TextModel,
        inputs: dict[str, Tensor],
        source: Axis,
        seen: Record,
        groups: Sequence[GroupPanel],
        say: Callable[[str], None],
    ) -> tuple[Faithfulness, str]:
        """Return what the check of the map that is shown found, and that in one sentence.

        Args:
            loaded: the model and its tokenizer.
            inputs: what the model read; for encoder-decoders with `decoder_input_ids` and `labels`.
            source: the words of the text.
            seen: what was seen as the model read them.
            groups: the maps; that of cross-attention is checked, if there is one.
            say: told what is being done, for progress.

        Raises:
            InputError: the text has fewer than 4 words.
        """
        words = _numbers(loaded.tokenizer, inputs["input_ids"][0], source)
        count = int(words.max()) + 1
        if count < LEAST_UNITS:
            raise InputError(f"--check: expected a text of at least {LEAST_UNITS} words; got {count}")
        say("checking the map")
        answer = text_answer(with_head(loaded), loaded.tokenizer, inputs, words, remove=self.remove)
        panel = groups[-1].shown
        site = next(site for site in seen if site.name == panel.facts.site)
        found = faithfulness(
            answer,
            {
                **word_scores(seen, words, shown=(site, panel.head), place=answer.place),
                "gradient x input": answer.gradient_times_input(),
                RARE: answer.rarity(),
                "position": answer.position(),
            },
            units=count,
            draws=self.draws,
            seed=self.seed,
            about=answer.about,
            what="words",
            progress=lambda done, total: say(f"checking the map: {done} of {total} variants of the text"),
        )
        return found, f"{found.statement(SHOWN, f'layer {panel.layer}, head {panel.head}')} {_beside(found)}"


def _beside(found: Faithfulness) -> str:
    """Return how the map does beside rare words, since most of what beats random words is that they matter."""
    shown, rare = (found.value(name, "comprehensiveness") for name in (SHOWN, RARE))
    return (
        f"Removing rare words first, whatever the model looks at, changes it by {rare:.3f}; the map by {shown:.3f}."
    )


def _numbers(tokenizer: Any, ids: Tensor, source: Axis) -> Tensor:
    """Return the number of each token's word, counting those words that can be removed."""
    special = [token for token in tokenizer.all_special_ids if token != tokenizer.unk_token_id]
    words = torch.tensor(source.groups).masked_fill(torch.isin(ids, torch.tensor(special)), -1)
    kept = words[words >= 0].unique()
    return torch.where(words < 0, -1, torch.searchsorted(kept, words))


def with_head(loaded: TextModel) -> Any:
    """Return the model with the head that its files name, if they name one that answers; its base is shared."""
    import transformers

    model = loaded.model
    name = next((n for n in model.config.architectures or () if n.endswith(_HEADS)), type(model).__name__)
    kind = getattr(transformers, name, type(model))
    if isinstance(model, kind) or loaded.has_encoder_and_decoder:
        return model
    with quiet():
        head = kind.from_pretrained(model.name_or_path, attn_implementation=model.config._attn_implementation)
    if isinstance(model, type(head.base_model)):
        setattr(head, head.base_model_prefix, model)
    return head.eval()
