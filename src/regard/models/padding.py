"""What is no text: masks that hide it, and positions that do not count it."""

import torch
from torch import Tensor

from regard.errors import ModelError
from regard.mechanisms.masks import Mask, padding
from regard.mechanisms.masks.rule import Not
from regard.mechanisms.masks.tensors import TensorMask


def real_keys(real: Tensor | None, tokens: Tensor) -> Mask | None:
    """Return the mask that hides keys without a token.

    Args:
        real: (B, N), True where there is a token; None: everywhere.
        tokens: (B, N), or any with these axes first.

    Raises:
        ModelError: `real` has another shape or holds no booleans.
    """
    if real is None:
        return None
    if real.dtype != torch.bool or real.shape != tokens.shape[:2]:
        raise ModelError(
            f"real: expected booleans {tuple(tokens.shape[:2])}, True where there is a token; got {real.dtype} of"
            f" shape {tuple(real.shape)}. For a mask of ones and zeros, write real=mask.bool()"
        )
    return TensorMask(real[:, None, None])


def text_keys(skipped: Tensor | None, keys: int) -> Mask | None:
    """Return the mask that hides keys before the text.

    Args:
        skipped: (B,), how many tokens at the start of each item are no text, more perhaps than
            there are keys yet; None: none.
        keys: how many there are.
    """
    # Not `~`: torch.compile does not follow it.
    return None if skipped is None else Not(padding(skipped.clamp(max=keys)))


def positions_of(tokens: Tensor, first: int, skipped: Tensor | None) -> Tensor:
    """Return the positions of tokens (B, N): (N,), or (B, N) where items begin at places of their own.

    Args:
        tokens: (B, N).
        first: how many came before them.
        skipped: (B,), how many tokens at the start of each item are no text, so that positions count from the first
            after them; None: none.
    """
    places = torch.arange(first, first + tokens.shape[-1], device=tokens.device)
    return places if skipped is None else (places - skipped[:, None]).clamp(min=0)
