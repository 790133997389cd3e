"""Which family a config speaks of."""

from collections.abc import Mapping
from typing import Any

from regard.errors import ModelError
from regard.models.families.family import Family

FAMILIES: dict[str, Family] = {}


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
