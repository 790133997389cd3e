"""`regard look --knock-out --hide`: a run without some heads or words, and what that does to the output."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from regard.cli.check import with_head
from regard.cli.model import TextModel
from regard.cli.words import check_words
from regard.errors import InputError
from regard.reports.panels import Axis
from regard.watch.change.changes import Change, hide, knock_out
from regard.watch.change.effect import Effect, default_read, head_effects
from regard.watch.change.where import Where, layer_of
from regard.watch.record import Record

_SIDES = ("encoder", "decoder", "cross")
_TOKENS = 3
_HEADS = 10


@dataclass(frozen=True)
class Run:
    """One run of a model.

    Attributes:
        seen: what was seen of its attention.
        output: what the model returned.
        text: the decoder's text of an encoder-decoder.
        target: its words.
        decoder: the decoder's inputs.
        labels: the decoder's labels.
    """

    seen: Record
    output: Any
    text: str | None
    target: Axis | None
    decoder: dict[str, Any]
    labels: dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What to change, as it was asked for.

    Attributes:
        heads: side ("" where a model has but one), layer and head of each head to knock out.
        words: the words to hide.
    """

    heads: tuple[tuple[str, int, int], ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, heads: str | None, words: Sequence[str]) -> "Asked | None":
        """Return what was asked for, or None for nothing.

        Raises:
            InputError: heads that are no pairs of numbers, or a blank word.
        """
        if heads is None and not words:
            return None
        if blank := [word for word in words if not word.strip()]:
            raise InputError(f"--hide: expected a word of the text; got {blank[0]!r}")
        return cls(tuple(map(_head, heads.split(",") if heads is not None else ())), tuple(words))

    def __str__(self) -> str:
        heads = [f"head {head} of {side + ' ' if side else ''}layer {layer}" for side, layer, head in self.heads]
        without = [f"without {', '.join(heads)}"] if heads else []
        hidden = [f"with {', '.join(map(repr, self.words))} hidden"] if self.words else []
        return " and ".join([*without, *hidden])

    def changes(self, loaded: TextModel, source: Axis) -> list[Change]:
        """Return the changes; words are hidden from whatever reads the text.

        Raises:
            InputError: a word that the text does not have, or a side that the model does not have.
        """
        both = loaded.has_encoder_and_decoder
        for side, layer, head in self.heads:
            if both != bool(side):
                example = " or ".join(f"{each}:{layer}.{head}" for each in _SIDES) if both else f"{layer}.{head}"
                raise InputError(
                    f"--knock-out: expected {example} of {loaded.name}; got {_written(side, layer, head)}"
                )
        changes = [knock_out(head, layers=layer, **_place(side)) for side, layer, head in self.heads]
        if self.words:
            keys = _positions(self.words, source)
            sides = ("encoder", "cross") if both else ("",)
            changes += [hide(keys, **_place(side)) for side in sides]
        return changes

    def check(self, seen: Record) -> None:
        """Raise InputError where a run of the unchanged model has no such layer or head."""
        for side, layer, head in self.heads:
            where = Where.of(None, _place(side))
            heads = {
                place: site.sizes.heads
                for site in seen
                if where.chooses(site.path, site.kind) and (place := layer_of(site.path)) is not None
            }
            if layer not in heads:
                raise InputError(f"--knock-out: expected a layer {_listed(sorted(heads))}; got {layer}")
            if head >= heads[layer]:
                raise InputError(f"--knock-out: expected a head {_listed(range(heads[layer]))}; got {head}")


def answering(loaded: TextModel) -> Any:
    """Return the model with the head that answers: next tokens or classes; else the model itself, an embedding."""
    masked = any(name.endswith("ForMaskedLM") for name in loaded.model.config.architectures or ())
    return loaded.model if masked else with_head(loaded)


def told(loaded: TextModel, before: Run, after: Run, target: str | None) -> tuple[str, ...]:
    """Return sentences on what changes do to the output.

    Args:
        loaded: the model and its tokenizer.
        before: the run without them.
        after: the run with them.
        target: the decoder's text, if it was given rather than generated.
    """
    shown = "The maps are those of the changed run."
    if loaded.has_encoder_and_decoder and target is None:
        wrote = [
            loaded.tokenizer.decode(run.labels["labels"][0], skip_special_tokens=True) for run in (before, after)
        ]
        same = " the same" if wrote[0] == wrote[1] else f": {wrote[1]}"
        return shown, f"It writes{same}", f"Unchanged, the model writes: {wrote[0]}"
    effect = Effect(_read(before.output), _read(after.output), before.seen, after.seen)
    if not _has_logits(before.output):
        return (
            shown,
            f"The text's embedding (mean over tokens) has a cosine of {effect.cosine:.4f} with the unchanged one.",
        )
    if loaded.has_encoder_and_decoder:
        scores = [_of_target(run) for run in (before, after)]
        said = f"The target's tokens have a mean log-probability of {scores[1]:.3f}, unchanged of {scores[0]:.3f}"
        return shown, f"{said} (divergence {effect.divergence:.4f} nats)."
    classes = before.output.logits.ndim == 2
    what = "The distribution over classes" if classes else "The distribution of the next token"
    names = _class_names(loaded) if classes else loaded.tokenizer.convert_ids_to_tokens
    likely = [_likeliest(each, names) for each in (effect.after, effect.before)]
    return (
        shown,
        f"{what} is {effect.divergence:.4f} nats (Kullback-Leibler) from the unchanged one.",
        f"Likeliest: {likely[0]}; unchanged: {likely[1]}.",
    )


def that_matter(model: Any, inputs: dict[str, Any], output: Any, say: Callable[[str], None]) -> str:
    """Return a sentence on the heads whose knock-out moves the output most, one by one.

    Args:
        model: the model.
        inputs: what it reads.
        output: what it returned before.
        say: told what is being done, for progress.
    """
    logits = _has_logits(output)
    moved = head_effects(
        model,
        inputs,
        read=_read,
        measure=lambda effect: effect.divergence if logits else 1 - effect.cosine,
        on_head=lambda path, head: say(f"knocking out head {head} of {path}"),
    )
    what = "divergence of what it predicts, in nats" if logits else "1 - cosine of the text's embedding"
    sided = bool(getattr(model.config, "is_encoder_decoder", False))
    named = [f"{_short(path, sided)}.{head} {value:.4f}" for (path, head), value in list(moved.items())[:_HEADS]]
    return f"Heads whose knock-out moves the output of the unchanged model most ({what}): {', '.join(named)}."


def _short(path: str, sided: bool) -> str:
    """Return the layer of a module, with its side where the model has two."""
    cross = re.search(r"cross|EncDec|encoder_attn", path)
    side = "cross:" if cross else next((f"{side}:" for side in ("decoder", "encoder") if side in path), "")
    return f"{side if sided else ''}{layer_of(path)}"


def _head(given: str) -> tuple[str, int, int]:
    found = re.fullmatch(rf"\s*(?:({'|'.join(_SIDES)}):)?(\d+)\.(\d+)\s*", given)
    if found is None:
        raise InputError(
            f"--knock-out: expected LAYER.HEAD, or several with commas, such as 0.3,2.11; got {given!r}"
        )
    return found[1] or "", int(found[2]), int(found[3])


def _listed(numbers: Sequence[int]) -> str:
    """Return numbers in words; not every layer of a model has attention."""
    if numbers and len(numbers) == numbers[-1] - numbers[0] + 1:
        return f"from {numbers[0]} to {numbers[-1]}"
    return f"of {', '.join(map(str, numbers)) or 'none'}"


def _written(side: str, layer: int, head: int) -> str:
    return f"{side}:{layer}.{head}" if side else f"{layer}.{head}"


def _place(side: str) -> Any:
    """Return where a side's attention stands."""
    if side == "cross":
        return {"kind": "cross"}
    if side == "decoder":
        return {"kind": "self", "paths": lambda path: "decoder" in path}
    return {"kind": "self", "paths": lambda path: "decoder" not in path} if side else {}


def _positions(words: Sequence[str], source: Axis) -> list[int]:
    """Return the positions of all tokens of words, wherever they stand in the text."""
    check_words("--hide", words, source)
    chosen = {number for number, word in enumerate(source.words) if word in words}
    return [place for place, group in enumerate(source.groups) if group in chosen]


def _has_logits(output: Any) -> bool:
    return isinstance(getattr(output, "logits", None), Tensor)


def _read(output: Any) -> Tensor:
    """Return what answers for a text: logits of classes or the next token, of all of a target, or an embedding."""
    found = default_read(output)[0].double()
    if not _has_logits(output):
        return found.mean(0)
    whole = found.ndim == 1 or "encoder_last_hidden_state" in output
    return found if whole else found[-1]


def _of_target(run: Run) -> float:
    labels = run.labels["labels"][0]
    return float(run.output.logits[0].double().log_softmax(-1).gather(-1, labels.unsqueeze(-1)).mean())


def _class_names(loaded: TextModel) -> Any:
    return lambda numbers: [loaded.model.config.id2label.get(n, str(n)) for n in numbers]


def _likeliest(logits: Tensor, names: Any) -> str:
    best = logits.softmax(-1).topk(min(_TOKENS, logits.shape[-1]))
    words = names(best.indices.tolist())
    return ", ".join(f"{word!r} {p:.3f}" for word, p in zip(words, best.values.tolist(), strict=True))
