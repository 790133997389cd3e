"""What a setting is: its name, its type, its meaning; and how what a user writes becomes a value of that type."""

import inspect
import math
import re
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from regard.errors import TaskError

_WORDS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_NONE = ("none", "null")


@dataclass(frozen=True)
class Field:
    """One setting.

    Attributes:
        section: the part of the settings that it stands in.
        name: its name there.
        kind: the type of its values: str, int, float, bool, tuples of these, a choice (`Literal`), or one of these
            and None.
        default: what it is where nobody sets it.
        about: its meaning, from the docstring of its dataclass; "" where that says nothing.
    """

    section: str
    name: str
    kind: Any
    default: Any
    about: str

    @property
    def full(self) -> str:
        """The name with its section: "training.rate"."""
        return f"{self.section}.{self.name}"

    @property
    def usual(self) -> str:
        """The default, as it is written after `--set`."""
        several = isinstance(self.default, tuple)
        return ",".join(map(_in_words, self.default)) if several else _in_words(self.default)

    def read(self, given: Any) -> Any:
        """Return what was given as a value of this setting's type.

        Args:
            given: text, as after `--set`, or what a settings file holds.

        Raises:
            TaskError: it is no such value.
        """
        try:
            return _read(self.kind, given)
        except _UnfitError:
            raise TaskError(f"{self.full}: expected {said(self.kind)}; got {_shown(self.kind, given)}") from None


def fields_of(section: str, kind: type) -> Iterator[Field]:
    """Yield the settings that a dataclass stands for.

    Args:
        section: what this part of the settings is called.
        kind: the dataclass; every field has a default.
    """
    hints, about = get_type_hints(kind), meanings(kind)
    usual = kind()
    for each in fields(kind):
        yield Field(section, each.name, hints[each.name], getattr(usual, each.name), about.get(each.name, ""))


def meanings(kind: type) -> dict[str, str]:
    """Return what the docstring of a class says of each of its attributes, in one line each."""
    parts = re.split(r"^Attributes:\n", inspect.getdoc(kind) or "", maxsplit=1, flags=re.MULTILINE)
    listed = re.split(r"^\S", parts[1], maxsplit=1, flags=re.MULTILINE)[0] if len(parts) == 2 else ""
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", listed, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def said(kind: Any) -> str:
    """Return in words what values a type has."""
    if (origin := get_origin(kind)) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if origin in (Union, UnionType):
        return " or ".join(said(each) for each in get_args(kind))
    if origin is tuple:
        each = get_args(kind)
        return f"{'any number of' if each[-1] is Ellipsis else len(each)} values, each {said(each[0])}"
    known = {str: "text", int: "a whole number", float: "a number", bool: "yes or no", NoneType: "none"}
    return known[kind]


def _in_words(value: Any) -> str:
    # By its text, since 1 equals True.
    return {"None": "none", "True": "yes", "False": "no"}.get(text := str(value), text)


class _UnfitError(Exception):
    """What was given is no value of the type."""


def _read(kind: Any, given: Any) -> Any:
    origin = get_origin(kind)
    if origin is Literal:
        return _choice(get_args(kind), given)
    if origin in (Union, UnionType):
        return _either(get_args(kind), given)
    if origin is tuple:
        return _several(get_args(kind), given)
    return {str: _text, int: _whole, float: _number, bool: _bool, NoneType: _none}[kind](given)


def _choice(choices: tuple[Any, ...], given: Any) -> Any:
    for choice in choices:
        if given == choice or given == str(choice):
            return choice
    raise _UnfitError


def _either(kinds: tuple[Any, ...], given: Any) -> Any:
    # None goes first: "none" is a text as well.
    for kind in sorted(kinds, key=lambda each: each is not NoneType):
        try:
            return _read(kind, given)
        except _UnfitError:
            continue
    raise _UnfitError


def _several(kinds: tuple[Any, ...], given: Any) -> tuple[Any, ...]:
    if isinstance(given, str):
        inside = re.sub(r"^\s*[\[(](.*)[\])]\s*$", r"\1", given, flags=re.DOTALL)
        given = [part.strip() for part in inside.split(",")] if inside.strip() else []
    if not isinstance(given, list | tuple):
        raise _UnfitError
    if kinds[-1] is Ellipsis:
        return tuple(_read(kinds[0], each) for each in given)
    if len(given) != len(kinds):
        raise _UnfitError
    return tuple(_read(kind, each) for kind, each in zip(kinds, given, strict=True))


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise _UnfitError
    return given


def _whole(given: Any) -> int:
    number = _number(given)
    if not number.is_integer():
        raise _UnfitError
    try:
        # Not by way of the number, which rounds large ones.
        return int(given)
    except ValueError:
        return int(number)


def _number(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise _UnfitError
    try:
        number = float(given)
    except (ValueError, OverflowError):
        raise _UnfitError from None
    if math.isnan(number):
        raise _UnfitError
    return number


def _bool(given: Any) -> bool:
    value = _WORDS.get(given.strip().lower()) if isinstance(given, str) else given
    if not isinstance(value, bool):
        raise _UnfitError
    return value


def _none(given: Any) -> None:
    if given is not None and not (isinstance(given, str) and given.strip().lower() in _NONE):
        raise _UnfitError


def _shown(kind: Any, given: Any) -> str:
    """Return what was given, cut short; where a file's word was taken for something else, what to do."""
    shown = reprlib.repr(given)
    takes_text = str in (kind, *get_args(kind)) or get_origin(kind) is Literal
    if takes_text and not isinstance(given, str | list | tuple | dict):
        return f"{shown}. Put text that YAML reads as something else in quotes, such as 'no' or '1'"
    return shown
