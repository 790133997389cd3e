"""Values as JSON and tensors, and back: plain ones, tensors, and regard's own classes from a closed list.

A class is written as its name and its fields. Tensors that show parts of one storage, as the steps of a generation
show parts of the same keys, are written once and share it again when they are read.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.engines.statistics import Distance, PooledMap, Statistics
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks.bands import Band, Every
from regard.mechanisms.masks.documents import Documents
from regard.mechanisms.masks.images import Neighbourhood
from regard.mechanisms.masks.lengths import Padding
from regard.mechanisms.masks.patterns import Among, RandomBlocks, SameBlock, Summaries
from regard.mechanisms.masks.rule import Both, Either, Full, Not
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.modifiers import Alibi, RelativeBuckets, SoftCap, TensorBias
from regard.mechanisms.scores import Dot, TanhSum
from regard.mechanisms.weighing import Softmax
from regard.shapes import Sizes
from regard.watch.coverage import Coverage, Unseen
from regard.watch.kept import Gradient, Kept
from regard.watch.records.chosen import Choice, ChosenBias, ChosenMask, ChosenModifier
from regard.watch.records.key_store import Stretch
from regard.watch.records.pieces import Piece, PiecedBias, PiecedMask, PiecedModifier
from regard.watch.site import Site

_CLASSES: dict[str, type] = {
    each.__name__: each
    for each in (
        *(Site, Kept, Gradient, Stretch, Sizes, Statistics, Distance, PooledMap, Coverage, Unseen),
        *(Problem, Attention, Dot, TanhSum, Softmax, TensorBias, Alibi, RelativeBuckets, SoftCap),
        *(Full, Both, Either, Not, TensorMask, Band, Every, Padding, Documents, Neighbourhood),
        *(Among, RandomBlocks, SameBlock, Summaries),
        *(Piece, PiecedMask, PiecedBias, PiecedModifier, Choice, ChosenMask, ChosenBias, ChosenModifier),
    )
}
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (
    torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.bool,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
)}  # fmt: skip

# A storage of which less than this share is shown by tensors is not written whole.
_WORTH = 0.5


class UnsavableError(Exception):
    """A value is of a kind that has no place in a file."""


class Writer:
    """Turns values into JSON, and gathers the tensors in them."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self._numbers: dict[int, int] = {}

    def json_of(self, value: Any) -> Any:
        """Return a value as JSON.

        Raises:
            UnsavableError: it holds a value of another kind, such as a function.
        """
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Tensor):
            return {"tensor": self._number(value)}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value).removeprefix("torch.")}
        if isinstance(value, tuple | list):
            return [self.json_of(each) for each in value]
        if isinstance(value, Mapping):
            return {"mapping": {str(name): self.json_of(each) for name, each in value.items()}}
        name = type(value).__name__
        if not is_dataclass(value) or _CLASSES.get(name) is not type(value):
            raise UnsavableError(name)
        inside = {field.name: self.json_of(getattr(value, field.name)) for field in fields(value) if field.init}
        return {"class": name, "fields": inside}

    def storages(self) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        """Return where each tensor lies, and the storages to write."""
        shown: dict[int, int] = {}
        for tensor in self._tensors:
            at = tensor.untyped_storage().data_ptr()
            shown[at] = shown.get(at, 0) + tensor.numel() * tensor.element_size()
        places: list[dict[str, Any]] = []
        written: dict[str, Tensor] = {}
        names: dict[tuple[int, torch.dtype], str] = {}
        for number, tensor in enumerate(self._tensors):
            storage = tensor.untyped_storage()
            at = storage.data_ptr()
            if shown[at] < _WORTH * storage.nbytes() or not storage.nbytes():
                name, tensor = f"part{number}", tensor.contiguous().clone()
                written[name] = tensor.reshape(-1).cpu()
            else:
                name = names.setdefault((at, tensor.dtype), f"part{number}")
                if name not in written:
                    whole = tensor.new_empty(0).set_(storage, 0, (storage.nbytes() // tensor.element_size(),), (1,))
                    written[name] = whole.cpu()
            places.append(
                {
                    "part": name,
                    "offset": tensor.storage_offset(),
                    "shape": list(tensor.shape),
                    "stride": list(tensor.stride()),
                }
            )
        return places, written

    def _number(self, tensor: Tensor) -> int:
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self._tensors)
            self._tensors.append(tensor.detach())
        return self._numbers[id(tensor)]


class Reader:
    """Makes values again of JSON and tensors; raises whatever comes of JSON that no `Writer` has written."""

    def __init__(self, places: list[dict[str, Any]], parts: Mapping[str, Tensor]) -> None:
        self._tensors = [parts[p["part"]].as_strided(p["shape"], p["stride"], p["offset"]) for p in places]

    def value_of(self, json: Any) -> Any:
        """Return the value."""
        if isinstance(json, list):
            return tuple(self.value_of(each) for each in json)
        if not isinstance(json, dict):
            return json
        if "tensor" in json:
            return self._tensors[json["tensor"]]
        if "dtype" in json:
            return _DTYPES[json["dtype"]]
        if "mapping" in json:
            return {name: self.value_of(each) for name, each in json["mapping"].items()}
        inside = {name: self.value_of(each) for name, each in json["fields"].items()}
        return _CLASSES[json["class"]](**inside)
