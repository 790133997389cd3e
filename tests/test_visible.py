"""Keys that a model hides by large negative numbers are not visible, whatever becomes of the record."""

import pytest
import torch
import torch.nn.functional as F

import regard
from regard.mechanisms.modifiers import TensorBias

B, H, N = 2, 3, 6


def added(lowest):
    seen = torch.ones(N, N, dtype=torch.bool).tril() & (torch.arange(N) != 2)
    return seen, torch.zeros(N, N).masked_fill(~seen, lowest)


def records(lowest):
    """The same call, with the numbers in torch's mask and as a bias tensor of regard's."""
    seen, bias = added(lowest)
    q, k, v = torch.randn(3, B, H, N, 4).unbind()
    with regard.watch(want=("rows",)) as by_torch:
        F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    with regard.watch(want=("rows",)) as by_bias:
        regard.attend(q, k, v, regard.Attention(modify=[TensorBias(bias)]))
    return seen.sum(-1), (by_torch, by_bias)


@pytest.mark.parametrize("lowest", [torch.finfo(torch.float32).min, -1e4, -9984.0, -torch.inf])
def test_hidden_keys_are_not_counted(lowest):
    counts, several = records(lowest)
    for seen in several:
        assert torch.equal(seen[0].visible(), counts.expand(B, H, N))
        assert seen[0].visible().dtype == torch.long
        part = seen.select(heads=[2, 0], queries=[5, 1])
        assert torch.equal(part[0].visible(), counts[[5, 1]].expand(B, 2, 2))
        assert torch.equal(regard.merge([seen, seen])[0].visible(), counts.expand(2 * B, H, N))


def test_what_is_merely_low_is_seen():
    _, several = records(-100.0)
    for seen in several:
        assert (seen[0].visible() == N).all()
