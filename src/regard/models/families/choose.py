"""Which family a config speaks of."""

from collections.abc import Mapping
from typing import Any

from regard.errors import ModelError
from regard.models.families.bert import BERT
from regard.models.families.family import Family
from regard.models.families.gpt2 import GPT2
from regard.models.families.llama import LLAMA
from regard.models.families.marian import MARIAN
from regard.models.families.t5 import T5
from regard.models.families.vit import VIT

# By the config's `model_type`.
FAMILIES = {
    "bert": BERT,
    "gpt2": GPT2,
    "llama": LLAMA,
    "marian": MARIAN,
    "mistral": LLAMA,
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "stablelm": LLAMA,
    "t5": T5,
    "vit": VIT,
}


def family_of(fields: Mapping[str, Any], name: str) -> Family:
    """Return the family of a config.

    Args:
        fields: what the config holds.
        name: what its file is called, for errors.

    Raises:
        ModelError: it is unknown.
    """
    kind = fields.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ModelError(f"{name}: model_type: expected one of {', '.join(FAMILIES)}; got {kind!r}")
    return FAMILIES[kind]
