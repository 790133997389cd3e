"""A config.json read field by field, so that nothing in it which changes the computation is passed over."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from torch import nn

from regard.errors import ModelError

T = TypeVar("T", bool, int, float, str, dict[str, Any], list[Any])

# What says how a model was made, stored, trained or served, and nothing of what it computes once it is loaded.
HARMLESS = frozenset(
    {
        "_attn_implementation_autoset",
        "_commit_hash",
        "_name_or_path",
        "_num_labels",
        "architectures",
        "attn_implementation",
        "bos_token_id",
        "chunk_size_feed_forward",
        "decoder_start_token_id",
        "dtype",
        "eos_token_id",
        "finetuning_task",
        "gradient_checkpointing",
        "id2label",
        "initializer_factor",
        "initializer_range",
        "is_encoder_decoder",
        "is_llama_config",
        "label2id",
        "model_type",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "output_past",
        "pad_token_id",
        "pretraining_tp",
        "problem_type",
        "return_dict",
        "sep_token_id",
        "task_specific_params",
        "tf_legacy_loss",
        "tokenizer_class",
        "torch_dtype",
        "torchscript",
        "transformers.js_config",
        "transformers_version",
        "use_bfloat16",
        "use_cache",
    }
)
# How texts were written with a model where nobody said otherwise; here `generate` is told each time.
OF_WRITING = frozenset(
    {
        "bad_words_ids",
        "begin_suppress_tokens",
        "diversity_penalty",
        "do_sample",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "length_penalty",
        "max_length",
        "min_length",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "output_scores",
        "prefix",
        "remove_invalid_values",
        "repetition_penalty",
        "return_dict_in_generate",
        "suppress_tokens",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
    }
)

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_new": lambda: nn.GELU(approximate="tanh"),
    "gelu_pytorch_tanh": lambda: nn.GELU(approximate="tanh"),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}


class Config:
    """The fields of a config.json; each has to be taken, to have its one known value, or to be harmless.

    Args:
        fields: what the file holds. A field that is null counts as absent.
        name: what the file is called, for errors.
    """

    def __init__(self, fields: Mapping[str, Any], name: str) -> None:
        self._fields = {field: value for field, value in fields.items() if value is not None}
        self._name = name
        self._read: set[str] = set()

    def take(self, field: str, kind: type[T], default: T | None = None) -> T:
        """Return a field of a kind, or a default where it is absent.

        Raises:
            ModelError: it is absent and there is no default, or of another kind.
        """
        self._read.add(field)
        value = self._fields.get(field, default)
        if value is None:
            raise ModelError(f"{self._name}: expected the field {field}, of kind {kind.__name__}; got none")
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ModelError(f"{self._name}: {field}: expected {kind.__name__}; got {value!r}")
        return value

    def has(self, field: str) -> bool:
        """Whether a field is there, and not null."""
        return field in self._fields

    def is_a(self, field: str, kind: type) -> bool:
        """Whether a field is there and of a kind."""
        return isinstance(self._fields.get(field), kind)

    def one_of(self, field: str, *known: Any) -> Any:
        """Return a field that may have these values only, the first where it is absent.

        Raises:
            ModelError: it has another value.
        """
        self._read.add(field)
        value = self._fields.get(field, known[0])
        self.check(field, value, *known)
        return value

    def check(self, field: str, value: Any, *known: Any) -> None:
        """Expect one of some values in a field.

        Raises:
            ModelError: it is another.
        """
        if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in known):
            expected = " or ".join(repr(each) for each in known)
            raise ModelError(
                f"{self._name}: {field}: expected {expected}; got {value!r}, which asks for a computation that"
                " is not here. Load the model with the library that it was made with"
            )

    def inner(self, *fields: str) -> "Config | None":
        """Return the fields within the first of these that is there, or None."""
        held = next((field for field in fields if self.has(field)), None)
        return None if held is None else Config(self.take(held, dict), f"{self._name}: {held}")

    def activation(self, field: str, default: str) -> nn.Module:
        """Return the activation that a field names."""
        self.one_of(field, default, *ACTIVATIONS)
        return ACTIVATIONS[self._fields.get(field, default)]()

    def finish(self, harmless: Collection[str]) -> None:
        """Expect that every field was taken or is harmless.

        Raises:
            ModelError: there are others, which may change what the model computes.
        """
        left = sorted(set(self._fields) - self._read - HARMLESS - OF_WRITING - set(harmless))
        if left:
            fields = ", ".join(f"{field}={self._fields[field]!r}" for field in left)
            raise ModelError(
                f"{self._name}: expected fields whose meaning is known; got {fields}, which may change what the"
                " model computes. Where they do not, take them out of the file"
            )
