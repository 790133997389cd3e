"""A mechanism by words, such as "dot; causal & window(64)": what a user types where attention is to be chosen."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from regard.errors import LayerError
from regard.layers.multi_head import Mechanism
from regard.layers.naming.linear import IN_ORDER, LINEAR
from regard.layers.naming.masks import MASKS, OF_A_BATCH, mask_of, mask_words
from regard.layers.naming.reading import Word, is_word, parts_of, unknown, word_of
from regard.layers.naming.scores import BIASES, MODIFIERS, SCORES, WEIGHINGS, Heads
from regard.mechanisms.attention import Attention

_KINDS: dict[str, Mapping[str, object]] = {
    "score": SCORES,
    "weighing": WEIGHINGS,
    "modifier": MODIFIERS,
    "bias": BIASES,
    "mask": MASKS,
    "linear": LINEAR,
    "dropout": {"dropout": None},
}
_KNOWN = [name for words in _KINDS.values() for name in words]
_ONLY_ONE = ("score", "weighing", "linear", "dropout")


def named(
    words: str,
    *,
    heads: int,
    head_width: int,
    key_heads: int | None = None,
    width: int | None = None,
    cross: bool = False,
    causal: bool = False,
) -> Mechanism:
    """Return what `MultiHead` takes as its mechanism, with fresh parameters where it learns any.

    Args:
        words: parts between semicolons, in any order: a score (dot, cosine, bilinear, additive), a weighing
            (softmax, sparsemax, entmax15, sigmoid, top_k(8), hard ...), modifiers (soft_cap(50), alibi,
            relative_buckets), masks joined by & | ~ (causal & window(64)), dropout(0.1); or a linear attention
            (linear, performer, retention, gated_linear, delta_rule, gated_delta_rule).
        heads: of the layer.
        head_width: of its queries and keys.
        key_heads: of the layer. Default: `heads`.
        width: of its input. Default: heads * head_width.
        cross: whether it attends to a source.
        causal: whether nobody may see ahead, as in a decoder's own attention.

    Raises:
        LayerError: words that are not known, or have no meaning together or in such a layer.
    """
    if cross and causal:
        raise LayerError("expected cross or causal, not both: a source is known whole before a target is written")
    sizes = Heads(heads, key_heads or heads, head_width, width or heads * head_width, causal)
    said = Said.read(words)
    return (
        said.linear_attention(sizes, cross=cross) if "linear" in said.words else said.attention(sizes, cross=cross)
    )


@dataclass(frozen=True)
class Said:
    """Words, read and sorted.

    Attributes:
        words: those that are no masks, by what they are.
        masks: expressions of masks, which all hold.
    """

    words: dict[str, list[Word]]
    masks: list[ast.expr]

    @classmethod
    def read(cls, words: str) -> "Said":
        """Return words sorted.

        Raises:
            LayerError: they cannot be read, are not known, or say one thing twice.
        """
        sorted_words: dict[str, list[Word]] = {}
        masks = []
        for part in parts_of(words):
            kind = _kind_of(word_of(part)) if is_word(part) else "mask"
            if kind == "mask":
                _check_masks(part)
                masks.append(part)
            else:
                sorted_words.setdefault(kind, []).append(word_of(part))
        for kind, several in sorted_words.items():
            told = {word.name for word in several}
            if len(several) > (1 if kind in _ONLY_ONE else len(told)):
                shown = " and ".join(word.text for word in several)
                raise LayerError(f"attention: expected one {kind}; got {shown}. Leave one of them out")
        return cls(sorted_words, masks)

    def attention(self, heads: Heads, *, cross: bool) -> Attention:
        """Return the attention with scores that is meant.

        Raises:
            LayerError: what compares positions, in attention to a source.
        """
        places = [*self.words.get("bias", []), *(word for part in self.masks for word in mask_words(part))]
        for word in places if cross else ():
            if word.name != "full":
                raise LayerError(
                    f"{word.text}: it compares places within one sequence; those of a target and of its source are"
                    " not the same. Leave it out in attention to a source"
                )
        (dropout,) = self._made("dropout", {"dropout": _dropout}, heads) or [0.0]
        return Attention(
            score=next(iter(self._made("score", SCORES, heads)), None),
            weigh=next(iter(self._made("weighing", WEIGHINGS, heads)), None),
            modify=self._made("modifier", MODIFIERS, heads),
            bias=self._made("bias", BIASES, heads),
            mask=mask_of(self.masks, causal=heads.causal),
            dropout=dropout,
        )

    def linear_attention(self, heads: Heads, *, cross: bool) -> Mechanism:
        """Return the linear attention that is meant.

        Raises:
            LayerError: beside it stands what only scores have, or it has an order that a source has not.
        """
        (word,) = self.words["linear"]
        beside = [each.text for kind, several in self.words.items() for each in several if kind != "linear"]
        if beside:
            raise LayerError(
                f"{beside[0]}: {word.name} keeps a state in place of scores and weights; leave one of them out"
            )
        masks = [*map(ast.unparse, self.masks)]
        if set(masks) - {"causal", "full"}:
            raise LayerError(
                f"{word.name}: it keeps a state, and takes no mask but causal; got {' & '.join(masks)}"
            )
        if cross and (word.name in IN_ORDER or "causal" in masks):
            raise LayerError(
                f"{'; '.join([word.text, *masks])}: expected linear or performer without a mask, in attention to a"
                " source; what goes by the order of keys has no place for a target's queries there"
            )
        heads = replace(heads, causal=heads.causal or "causal" in masks)
        made: Mechanism = word.make(LINEAR[word.name], heads)
        return made

    def _made(self, kind: str, makers: Mapping[str, Any], heads: Heads) -> list[Any]:
        """Return what the words of a kind mean."""
        return [word.make(makers[word.name], heads) for word in self.words.get(kind, [])]


def _dropout(heads: Heads, probability: float) -> float:
    """Return the probability."""
    if isinstance(probability, bool) or not (isinstance(probability, int | float) and 0 <= probability < 1):
        raise LayerError(f"expected a probability from 0 to below 1; got {probability!r}")
    return float(probability)


def _kind_of(word: Word) -> str:
    """Return what a word is."""
    for kind, words in _KINDS.items():
        if word.name in words:
            return kind
    if word.name in OF_A_BATCH:
        raise LayerError(f"{word.text}: it differs from batch to batch, and so goes to the call, not to the layer")
    raise unknown(word.name, _KNOWN)


def _check_masks(expression: ast.expr) -> None:
    """Raise LayerError where something in an expression is no mask."""
    for word in mask_words(expression):
        if (kind := _kind_of(word)) != "mask":
            raise LayerError(
                f"{word.text}: expected a mask to join by & | ~; got a {kind}. Write it after a semicolon"
            )
