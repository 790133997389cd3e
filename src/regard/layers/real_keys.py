"""Masks as linear attention can have them: by which keys there are, the same for every query."""

import torch
from torch import Tensor

from regard.errors import LayerError
from regard.layers.places import asks_keys_alone
from regard.mechanisms.grid import Grid
from regard.mechanisms.linear import LinearAttention
from regard.mechanisms.masks import Mask, causal
from regard.mechanisms.masks.rule import Both, Either, Full, Not
from regard.shapes import Sizes


def real_keys(mask: Mask, mechanism: LinearAttention, sizes: Sizes, device: torch.device) -> Tensor | None:
    """Return which keys a mask leaves, broadcastable to (B, H, keys); None: all of them.

    Args:
        mask: what the mechanism itself sees, and what hides keys from all queries, joined by `&`.
        mechanism: the linear attention.
        sizes: of the whole sequence of keys.
        device: where they are.

    Raises:
        LayerError: it hides a key from some queries only.
    """
    if isinstance(mask, Both) and not _is_of_keys(mask):
        sides = [real_keys(side, mechanism, sizes, device) for side in (mask.left, mask.right)]
        found = [side for side in sides if side is not None]
        return found[0] if len(found) == 1 else found[0] & found[1] if found else None
    if isinstance(mask, Full) or (mechanism.causal and mask == causal()):
        return None
    if not _is_of_keys(mask):
        seen = causal() if mechanism.causal else Full()
        raise LayerError(
            f"mask: {mechanism} sees {seen} and takes no other mask but one that hides keys from all queries, as"
            f" padding does; got {mask}"
        )
    mask.check(sizes)
    allowed = mask.allowed(Grid.rectangle(slice(0, 1), slice(0, sizes.keys), sizes, device))
    allowed = allowed.reshape((1,) * (4 - allowed.ndim) + tuple(allowed.shape))
    return allowed[:, :, 0].expand(-1, -1, sizes.keys)


def _is_of_keys(mask: Mask) -> bool:
    """Whether a mask says the same to every query, and adds no numbers."""
    if isinstance(mask, Both | Either):
        return _is_of_keys(mask.left) and _is_of_keys(mask.right)
    if isinstance(mask, Not):
        return _is_of_keys(mask.inner)
    return asks_keys_alone(mask) and not mask.adds
