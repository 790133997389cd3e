"""Whether a training that goes on is the one that began."""

from dataclasses import fields
from typing import Any

from regard.tasks.settings import SECTIONS, Settings
from regard.tasks.training.settings import MAY_CHANGE


def differing(stored: Settings[Any], given: Settings[Any]) -> str:
    """Return the first setting that would change what was learned before, with both values, or ""."""
    if stored.name != given.name:
        return f"the task {given.name!r} rather than {stored.name!r}"
    for section in SECTIONS:
        before, now = getattr(stored, section), getattr(given, section)
        for field in fields(before):
            old, new = getattr(before, field.name), getattr(now, field.name)
            if old != new and not (section == "training" and field.name in MAY_CHANGE):
                return f"{section}.{field.name}={new!r} rather than {old!r}"
    return ""
