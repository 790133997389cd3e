"""Every form in which a mask may be given, as a mask."""

from typing import Any

from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.masks.mods import BlockRule, MaskMod
from regard.mechanisms.masks.rule import Full, Mask
from regard.mechanisms.masks.tensors import TensorMask


def as_mask(mask: Any) -> Mask:
    """Return a mask, whatever form it was given in.

    Args:
        mask: a mask; a boolean or float tensor of at most four axes; a function `mask_mod(b, h, q_idx, kv_idx)`;
            torch's `BlockMask`; or None, everyone may see everyone.

    Raises:
        MaskError: it is something else.
    """
    if mask is None:
        return Full()
    if isinstance(mask, Mask):
        return mask
    if isinstance(mask, Tensor):
        return TensorMask(mask)
    if type(mask).__name__ == "BlockMask":
        return BlockRule.of(mask)
    module = getattr(mask, "__module__", "") or ""
    if callable(mask) and not isinstance(mask, type) and not module.startswith("regard.mechanisms."):
        return MaskMod(mask)
    called = f". Did you mean {mask.__name__}(...)?" if callable(mask) and hasattr(mask, "__name__") else ""
    raise MaskError(
        "mask: expected a regard mask, a tensor, a function mask_mod(b, h, q_idx, kv_idx), a BlockMask or None;"
        f" got {type(mask).__name__}{called}"
    )
