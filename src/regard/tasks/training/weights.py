"""A model's weights in safetensors files: written whole, read back, and averaged."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from regard.errors import TaskError
from regard.tasks.extra import extra
from regard.writing import written_whole


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return what a model has learned, by name; what several names share stands under the first of them."""
    kept, seen = {}, set()
    # Only the parameters themselves can be told apart: what a state dict holds otherwise is made for it.
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            kept[name] = tensor.detach()
    return kept


def put_weights(model: nn.Module, weights: Mapping[str, Tensor], origin: Path | str) -> None:
    """Give a model weights by name.

    Raises:
        TaskError: they are not this model's.
    """
    own = weights_of(model)
    if own.keys() != weights.keys():
        differing = sorted(own.keys() ^ weights.keys())
        raise TaskError(
            f"{origin}: expected the weights of this run's model; {differing[0]} is only in one of both"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.shape != weights[name].shape:
                raise TaskError(f"{origin}: {name}: expected {list(tensor.shape)}; got {list(weights[name].shape)}")
            tensor.copy_(weights[name])


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights, whole or not at all.

    Raises:
        TaskError: the file cannot be written.
    """
    with extra():
        from safetensors.torch import save
    with written_whole(path, TaskError) as file:
        # Not by its own `save_file`, which leaves a file of another name behind when it is killed.
        file.write(save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file.

    Raises:
        TaskError: there is no such file, or it is damaged.
    """
    with extra():
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise TaskError(
            f"{path}: expected a run's weights; {error}. Where its checkpoints are left, training with --resume "
            "writes them again"
        ) from error


def average(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of the weights in files, summed up in float64; what is no fraction comes from the last."""
    sums: dict[str, Tensor] = {}
    last: dict[str, Tensor] = {}
    for path in paths:
        last = read_weights(path)
        for name, tensor in last.items():
            if tensor.is_floating_point():
                sums[name] = sums[name] + tensor if name in sums else tensor.double()
    return {
        name: (sums[name] / len(paths)).to(tensor.dtype) if name in sums else tensor
        for name, tensor in last.items()
    }
