"""Weights of `attend` that are no softmax are seen as they are, those that chance drew among them."""

import pytest
import torch

import regard
from regard.layers import MultiHead, StateCache, named
from regard.watch.seams import attend_call

WORDS = ["sparsemax", "entmax15", "additive; top_k(2)", "sigmoid", "hard", "soft_cap(3); sparsemax; causal"]


def _layer(words: str) -> MultiHead:
    torch.manual_seed(0)
    return MultiHead(16, 2, mechanism=named(words, heads=2, head_width=8)).double().eval()


@pytest.mark.parametrize("words", WORDS)
def test_the_weights_that_were_seen_give_the_output(words):
    layer, x = _layer(words), torch.randn(2, 5, 16, dtype=torch.float64)
    with torch.no_grad():
        torch.manual_seed(1)
        alone = layer(x)
        torch.manual_seed(1)
        with regard.watch(layer) as seen:
            output = layer(x)
        heads = seen[0].weights() @ layer.value(x).unflatten(2, (2, 8)).transpose(1, 2)
        made = layer.output(heads.transpose(1, 2).flatten(2))
    assert torch.equal(output, alone)
    torch.testing.assert_close(made, output)
    assert seen.coverage.calls == 1


def test_statistics_are_those_of_the_weights():
    layer = _layer("sparsemax")
    with torch.no_grad(), regard.watch(layer) as seen:
        layer(torch.randn(1, 6, 16, dtype=torch.float64))
    (site,) = seen
    P = site.weights()
    torch.testing.assert_close(site.entropy, -torch.special.xlogy(P, P).sum(-1))
    torch.testing.assert_close(site.received, P.sum(2))
    assert site.engine.endswith("sparsemax")


def test_too_many_weights_are_listed(monkeypatch):
    monkeypatch.setattr(attend_call, "MOST_WEIGHTS", 49)
    layer = _layer("entmax15")
    with torch.no_grad(), regard.watch(layer) as seen:
        layer(torch.randn(1, 5, 16, dtype=torch.float64))
    assert not seen.sites
    assert "50 of them are too many to keep" in str(seen.coverage)


def test_linear_attention_is_listed():
    layer = _layer("linear; causal")
    with torch.no_grad(), regard.watch(layer) as seen:
        layer(torch.randn(1, 5, 16, dtype=torch.float64), cache=StateCache())
    assert not seen.sites


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("words", ["linear", "gated_delta_rule; causal"])
def test_linear_attention_is_told_to_have_no_weights(words, held):
    model = _Holding(_layer(words)) if held else _layer(words)
    with torch.no_grad(), regard.watch(model) as seen:
        model(torch.randn(1, 3, 16, dtype=torch.float64))
    (unseen,) = seen.coverage.unseen
    assert (unseen.path, unseen.class_name) == ("attention" if held else "", "MultiHead")
    assert "a state stands in place of weights" in unseen.reason
    assert "regard.attend" not in str(seen.coverage)
    with torch.no_grad(), regard.watch(model) as seen:
        pass
    assert [each.reason for each in seen.coverage.unseen] == ["its forward did not run"]


class _Holding(torch.nn.Module):
    """A model whose attention stands in it by name."""

    def __init__(self, layer):
        super().__init__()
        self.attention = layer

    def forward(self, x):
        return self.attention(x)
