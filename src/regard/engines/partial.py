"""The algebra of partial attention: results over disjoint sets of keys join into the result over their union.

Softmax attention over a set of keys is a pair (o, l) of output and log-sum-exp of the scores. Two pairs join by

    l = log(exp(l1) + exp(l2)),   o = o1 exp(l1 - l) + o2 exp(l2 - l),

which is associative and commutative, with (0, -inf) as identity (Milakov & Gimelshein 2018, "Online normalizer
calculation for softmax"; Rabe & Staats 2021, "Self-attention does not need O(n^2) memory").
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from regard.shapes import Sizes, compute_dtype


@dataclass(frozen=True, eq=False)
class Partial:
    """Attention over some of the keys.

    Attributes:
        output: (B, H, Nq, Dv); 0 where a query sees none of these keys.
        lse: (B, H, Nq), natural log-sum-exp of the scores; -inf where a query sees none of these keys.
    """

    output: Float[Tensor, "B H Nq Dv"]
    lse: Float[Tensor, "B H Nq"]

    @classmethod
    def nothing(cls, sizes: Sizes, like: Tensor) -> "Partial":
        """Return the identity: attention over no keys."""
        rows = (sizes.batch, sizes.heads, sizes.queries)
        return cls(
            output=like.new_zeros((*rows, sizes.value_width)),
            lse=like.new_full(rows, -torch.inf, dtype=compute_dtype(like.dtype)),
        )

    def join(self, other: "Partial") -> "Partial":
        """Return attention over the union of two disjoint sets of keys."""
        lse = torch.logaddexp(self.lse, other.lse)
        output = self._share(lse) + other._share(lse)
        return Partial(output.to(self.output.dtype), lse)

    def _share(self, lse: Tensor) -> Tensor:
        """Return this part's output times its share exp(l_part - l) of the whole; 0 where nothing is seen."""
        share = torch.exp(torch.where(lse == -torch.inf, -torch.inf, self.lse - lse))
        return self.output * share.unsqueeze(-1)
