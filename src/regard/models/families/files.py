"""The tensors of a pretrained model's folder: one .safetensors file, or several and their index."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from regard.errors import ModelError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class StoredTensors:
    """Tensors by name, read one at a time, so that only one of them is held beside the model.

    Args:
        folder: where the files lie.

    Raises:
        ModelError: there are none, they cannot be read, or safetensors is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = self._by_file()

    @property
    def names(self) -> frozenset[str]:
        """The names of all tensors."""
        return frozenset(name for names in self._files.values() for name in names)

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each name and its tensor, file by file."""
        for file, names in self._files.items():
            with _opened(self._folder / file) as content:
                for name in names:
                    yield name, content.get_tensor(name)

    def _by_file(self) -> dict[str, list[str]]:
        if (self._folder / INDEX).is_file():
            return self._by_index()
        if not (self._folder / SINGLE).is_file():
            raise ModelError(
                f"{self._folder}: expected {SINGLE} or {INDEX}; got neither. Where the weights are stored otherwise"
                " (pytorch_model.bin), save them anew with save_pretrained of transformers"
            )
        with _opened(self._folder / SINGLE) as content:
            return {SINGLE: list(content.keys())}

    def _by_index(self) -> dict[str, list[str]]:
        """Return what the index says, which must be what the files hold."""
        places = read_json(self._folder / INDEX).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
            raise ModelError(
                f'{self._folder / INDEX}: expected "weight_map", from tensors to files; got {places!r}'
            )
        files: dict[str, list[str]] = {}
        for name, file in places.items():
            if Path(file).name != file:
                raise ModelError(f"{INDEX}: expected files of the same folder; got {file!r}")
            files.setdefault(file, []).append(name)
        for file, names in files.items():
            with _opened(self._folder / file) as content:
                lacking = sorted(set(names) - set(content.keys()))
            if lacking:
                raise ModelError(f"{self._folder / file}: expected {', '.join(lacking)}, as {INDEX} says; got none")
        return files


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        ModelError: there is no such file, or it holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{path}: expected JSON; {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected an object of fields; got {type(content).__name__}")
    return content


def _opened(path: Path) -> Any:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ModelError("pretrained weights need safetensors: pip install regard[look]") from error
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
