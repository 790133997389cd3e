"""Files of a survey: plain facts and arrays in one safetensors file, written whole or not at all."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import InputError

VERSION = 1
_KEY = "regard"

Arrays = Mapping[str, NDArray[Any]]


def pack(facts: Mapping[str, Any], arrays: Arrays) -> bytes:
    """Return facts (what JSON can hold) and arrays as the bytes of a safetensors file, always the same ones."""
    save = _safetensors()[0]
    header = json.dumps({"version": VERSION, **facts}, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {_KEY: header})


def unpack(raw: bytes, name: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what was packed.

    Raises:
        InputError: it is something else, or of another version.
    """
    load, SafetensorError = _safetensors()[1:]
    try:
        arrays = load(raw)
        length = int.from_bytes(raw[:8], "little")
        facts = json.loads(json.loads(raw[8 : 8 + length])["__metadata__"][_KEY])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{name} is no file of a survey, or is damaged ({error})") from error
    if facts.get("version") != VERSION:
        raise InputError(f"{name}: expected version {VERSION} of a survey's file; got {facts.get('version')}")
    return facts, arrays


def _safetensors() -> tuple[Callable[..., bytes], Callable[[bytes], dict[str, NDArray[Any]]], type[Exception]]:
    """Return what saves, what loads, and the error of loading."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load, save
    except ImportError as error:
        raise InputError("surveys need safetensors; install it with: pip install 'regard[look]'") from error
    return save, load, SafetensorError


def read(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
