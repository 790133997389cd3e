"""Native sparse attention: summaries of the past, chosen blocks of it and a window, joined by gates."""

import torch
from torch import Tensor, nn

from regard.attend import attend
from regard.errors import LayerError, ShapeError
from regard.layers.choosing import Choosing, by_summaries, check_lengths
from regard.layers.chosen_blocks import within
from regard.layers.chosen_mask import Chosen, Ended
from regard.layers.compression import Compression
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import causal, window
from regard.shapes import Sizes, check


class NativeSparse(nn.Module):
    """Causal attention to learned summaries, to the blocks that they recommend and to what is near.

    The three outputs are added, each times its gate. Heads that share keys share their choice of blocks: those
    whose summaries have the largest weights. Gradients flow through all three, and so into the summaries by which
    blocks are chosen; the choice itself has none.

    Args:
        width: D, of queries and keys.
        value_width: Dv. Default: `width`.
        length: how many keys a summary speaks of.
        stride: how many keys after one summary's first the next one's stands; it divides length and block.
        block: how many keys make a block to be chosen; at least `length`.
        count: how many blocks a query reads at most, its own included.
        first: how many of the first blocks are always among them.
        near: how many of the last blocks, up to the query's own.
        window: how many keys the window has, the query's own included.

    Raises:
        LayerError: sizes that do not go together.

    Source: Yuan et al. 2025, "Native Sparse Attention: Hardware-Aligned and Natively Trainable Sparse Attention".
    """

    def __init__(
        self,
        width: int,
        value_width: int | None = None,
        *,
        length: int = 32,
        stride: int = 16,
        block: int = 64,
        count: int = 16,
        first: int = 1,
        near: int = 2,
        window: int = 512,
    ) -> None:
        super().__init__()
        self.summarise_key = Compression(width, length, stride)
        self.summarise_value = Compression(width if value_width is None else value_width, length, stride)
        self.choosing = Choosing(block, count, first, near)
        self.window = window
        if length % stride or block % stride or length > block:
            raise LayerError(
                "expected a stride that divides length and block, and a length of at most block; got"
                f" length={length}, stride={stride}, block={block}"
            )
        if window < 1:
            raise LayerError(f"expected a window of at least 1 key; got {window}")

    def forward(self, query: Tensor, key: Tensor, value: Tensor, gates: Tensor) -> Tensor:
        """Attend.

        Args:
            query: (B, H, Nq, D), the last Nq positions of the keys'.
            key: (B, G, Nk, D), H a multiple of G; or (3, B, G, Nk, D), keys for summaries, blocks and window each.
            value: (B, G, Nk, Dv), or (3, B, G, Nk, Dv) likewise.
            gates: (B, H, Nq, 3), of summaries, blocks and window, such as the sigmoid of a projection of the input.

        Returns:
            (B, H, Nq, Dv), differentiable. Memory grows with the length, forward and backward.

        Raises:
            ShapeError: the tensors do not fit together, or there are more queries than keys.
        """
        keys, values = (each if each.ndim == 5 else each.expand(3, *each.shape) for each in (key, value))
        sizes = check(query, keys[0], values[0])
        check_lengths(sizes)
        if len(keys) != 3 or len(values) != 3 or gates.shape != (*query.shape[:3], 3):
            raise ShapeError(
                f"expected one key and value or three, and gates {(*query.shape[:3], 3)}; got key"
                f" {tuple(key.shape)}, value {tuple(value.shape)} and gates {tuple(gates.shape)}"
            )
        summary, summed = self.summarise_key(keys[0]).to(key.dtype), self.summarise_value(values[0]).to(key.dtype)
        mask = Ended(self.summarise_key.length, self.summarise_key.stride, sizes.keys - sizes.queries)
        near = causal(align="last") & window(self.window - 1, 0, align="last")
        with torch.autocast(query.device.type, enabled=False):
            branches = (
                attend(query, summary, summed, Attention(mask=mask)).output,
                self._chosen(query, keys[1], values[1], summary, sizes, mask),
                attend(query, keys[2], values[2], Attention(mask=near)).output,
            )
        joined = torch.stack(branches, -1) * gates.unsqueeze(-2)  # (B, H, Nq, Dv, 3)
        return joined.sum(-1).to(query.dtype)

    def extra_repr(self) -> str:
        """Return how blocks are chosen, for people."""
        return f"{self.choosing}, window={self.window}"

    def _chosen(
        self, query: Tensor, key: Tensor, value: Tensor, summary: Tensor, sizes: Sizes, mask: Ended
    ) -> Tensor:
        """Return attention within the blocks that summaries recommend."""
        if not sizes.pairs:
            return attend(query, key, value).output
        choice = by_summaries(query, summary, sizes, self.choosing, mask)
        return within(query, key, value, Chosen(choice, self.choosing.block))
