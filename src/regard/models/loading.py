"""Pretrained models: a folder as Hugging Face's libraries write it becomes a model of this room."""

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor, nn

from regard.errors import ModelError
from regard.models.families.choose import family_of
from regard.models.families.config import Config
from regard.models.families.family import Family
from regard.models.families.files import StoredTensors, read_json


def from_pretrained(
    folder: str | Path, *, dtype: torch.dtype = torch.float32, leave: Collection[str] = ()
) -> nn.Module:
    """Return the model of a folder with config.json and .safetensors files, in evaluation.

    Which class it is, `config.json` and the stored tensors say together: BERT with the tensors of its masked
    language model is a `MaskedLanguageModel`, without them an `Encoder`.

    Args:
        folder: where the files lie; nothing is downloaded.
        dtype: the data type of the parameters. Default: float32, whatever they are stored as.
        leave: beginnings of the names of stored tensors that are to be left out, such as `["classifier."]`.

    Raises:
        ModelError: files are missing or damaged; the family is unknown; the config has a field that may change the
            computation in a way that is not here; tensors are missing, unexpected or of another shape.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ModelError(
            f"expected a folder with config.json and .safetensors files; got {str(folder)!r}, which is none."
            " Nothing is downloaded: save the model first, as by save_pretrained(FOLDER)"
        )
    fields = read_json(folder / "config.json")
    family = family_of(fields, str(folder / "config.json"))
    config = Config(fields, str(folder / "config.json"))
    stored = StoredTensors(folder)
    names = {name for name in stored.names if not name.startswith(tuple(leave)) and not family.ignores(name)}
    model = family.build(config, {family.plain(name) for name in names})
    config.finish(family.harmless)
    model = model.to(dtype)
    _fill(model, stored, names, family)
    return model.eval()


def _fill(model: nn.Module, stored: StoredTensors, names: Collection[str], family: Family) -> None:
    """Copy stored tensors into the model's own, each exactly once.

    Raises:
        ModelError: some are missing, unexpected or of another shape.
    """
    own = dict(model.named_parameters())  # what is shared, once
    filled: set[str] = set()
    unexpected = []
    for name, tensor in stored:
        if name not in names:
            continue
        parts = {_place(ours, own, family.body): part for ours, part in family.ours(name, tensor)}
        if not parts or not parts.keys() <= own.keys():
            unexpected += [] if family.repeats(name) else [name]
            continue
        for ours, part in parts.items():
            _copy(own[ours], part, name)
        filled |= parts.keys()
    missing = sorted(own.keys() - filled)
    if missing or unexpected:
        raise ModelError(
            f"expected the tensors of a {type(model).__name__}; got none for {_listed(missing)}, and with no place"
            f" {_listed(sorted(unexpected))}. What is stored but not wanted can be left out by leave=[...]"
        )


def _place(name: str, own: Collection[str], body: str) -> str:
    """Return where a tensor is: within the body, where a head stands beside it."""
    return f"{body}.{name}" if name not in own and f"{body}.{name}" in own else name


def _copy(own: Tensor, stored: Tensor, name: str) -> None:
    if stored.shape == (1, *own.shape):
        stored = stored[0]
    if own.shape != stored.shape:
        raise ModelError(f"{name}: expected {tuple(own.shape)}, as the config says; got {tuple(stored.shape)}")
    with torch.no_grad():
        own.copy_(stored)


def _listed(names: list[str]) -> str:
    """Return names as text, the first ten of many."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return (", ".join(names[:10]) + more) if names else "nothing"
