"""Recurrent models compute what their papers write, step by step as at once, and can be looked into."""

import io

import pytest
import torch
from torch.nn import functional as F

import regard
from regard.errors import LayerError, ModelError
from regard.layers import named
from regard.mechanisms.grid import Grid
from regard.models.recurrent.alignment import aligned
from regard.models.recurrent.model import Recurrent, input_feeding, searching
from regard.shapes import Sizes

SOURCE, TARGET = 11, 13


def searching_tiny(attention: str | None = "additive", dropout: float = 0.0) -> Recurrent:
    return searching(
        SOURCE, TARGET, width=6, hidden=7, attention=attention, alignment=5, readout=4, dropout=dropout
    )


def feeding_tiny(attention: str | None = "bilinear", dropout: float = 0.0) -> Recurrent:
    return input_feeding(SOURCE, TARGET, width=6, layers=2, attention=attention, dropout=dropout)


KINDS = {
    "additive": searching_tiny,
    "bilinear": feeding_tiny,
    "dot": lambda: feeding_tiny("dot"),
    "dot, projected": lambda: searching_tiny("dot(0.5)"),
    "sigmoid": lambda: searching_tiny("bilinear; sigmoid"),
    "hard": lambda: feeding_tiny("additive(3); hard"),
    "top 3 of capped scores": lambda: searching_tiny("top_k(3); soft_cap(5)"),
    "fixed summary": lambda: searching_tiny(None),
    "fixed summary, fed": lambda: feeding_tiny("none"),
}
kinds = pytest.mark.parametrize("kind", KINDS)
attentive = pytest.mark.parametrize("kind", ["additive", "bilinear"])


def model_of(kind: str) -> Recurrent:
    torch.manual_seed(0)
    return KINDS[kind]().double()


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(1)
    return torch.randint(SOURCE, (3, 8), generator=drawn), torch.randint(TARGET, (3, 5), generator=drawn)


def test_attention_before_each_step_is_that_of_the_paper():
    model, (source, target) = model_of("additive"), texts()
    h = model.encode(source).values[0]
    decoder, p = model.decoder, dict(model.decoder.named_parameters())
    backward_at_first = h[0, 7:]
    assert torch.equal(model.encode(source).summary[0, 7:], backward_at_first)
    s = torch.tanh(p["first.weight"] @ torch.cat([h[-1, :7], backward_at_first]) + p["first.bias"])
    for word, logits in zip(target[0], model(source, target)[0], strict=True):
        e = torch.stack(
            [torch.tanh(p["alignment.query.weight"] @ s + p["alignment.key.weight"] @ each) for each in h]
        )
        c = torch.softmax(e @ p["alignment.vector"], 0) @ h
        y = p["embedding.weight"][word]
        t = p["readout.weight"] @ torch.cat([s, y, c]) + p["readout.bias"]
        t = torch.maximum(t[0::2], t[1::2])
        torch.testing.assert_close(logits, p["head.weight"] @ t + p["head.bias"])
        s = decoder.cell(torch.cat([y, c])[None], s[None])[0]


def test_attention_after_each_step_is_that_of_the_paper():
    model, (source, target) = model_of("bilinear"), texts()
    p = dict(model.decoder.named_parameters())
    embedded = model.encoder.embedding(source[:1])
    h, (states, cells) = model.encoder.network(embedded)
    kept = [(states[layer], cells[layer]) for layer in range(2)]
    fed = torch.zeros(1, 6, dtype=torch.double)
    for word, logits in zip(target[0], model(source, target)[0], strict=True):
        x = torch.cat([p["embedding.weight"][word][None], fed], -1)
        for layer, cell in enumerate(model.decoder.cells):
            kept[layer] = cell(x, kept[layer])
            x = kept[layer][0]
        weights = torch.softmax(h[0] @ (x[0] @ p["alignment.weight"]), 0)
        fed = torch.tanh(torch.cat([weights @ h[0], x[0]]) @ p["combine.weight"].T)[None]
        torch.testing.assert_close(logits, p["head.weight"] @ fed[0])


@kinds
def test_steps_with_a_cache_are_the_whole(kind):
    model, (source, target) = model_of(kind), texts()
    memory, caches = model.encode(source), model.caches()
    parts = [model.decode(part, memory, cache=caches) for part in target.split([1, 3, 1], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(source, target))
    assert caches[0].length == 5


@kinds
def test_a_cache_goes_on_with_chosen_items(kind):
    model, (source, target) = model_of(kind), texts()
    items = torch.tensor([2, 0, 0])
    caches = model.caches()
    model.decode(target[:, :3], model.encode(source), cache=caches)
    caches[0].reorder(items)
    later = model.decode(target[items, 3:], model.encode(source[items]), cache=caches)
    torch.testing.assert_close(later, model(source, target)[items, 3:])


@kinds
def test_padding_at_the_end_changes_nothing(kind):
    model, (source, target) = model_of(kind), texts()
    real = torch.arange(8) < torch.tensor([[8], [3], [1]])
    padded = model(source, target, real=real)
    for item, length in enumerate((8, 3, 1)):
        alone = model(source[item : item + 1, :length], target[item : item + 1])
        torch.testing.assert_close(padded[item], alone[0])


def test_an_item_without_tokens_is_refused():
    source, target = texts()
    real = torch.ones(3, 8, dtype=torch.bool)
    real[1] = False
    with pytest.raises(ModelError, match="at least one token"):
        model_of("additive")(source, target, real=real)


@kinds
def test_bfloat16_by_autocast_learns_nearly_the_same(kind):
    model, (source, target) = model_of(kind).float(), texts()
    real = torch.arange(8) < torch.tensor([[8], [3], [1]])
    gradients = []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = F.cross_entropy(model(source, target, real=real).flatten(0, 1), target.flatten())
        found = torch.autograd.grad(loss, list(model.parameters()))
        gradients.append(torch.cat([each.flatten() for each in found]))
    exact, ours = gradients
    assert (ours - exact).norm() < 0.05 * exact.norm()


@kinds
def test_every_parameter_that_is_used_learns(kind):
    model, (source, target) = model_of(kind), texts()
    F.cross_entropy(model(source, target).flatten(0, 1), target.flatten()).backward()
    assert [name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()] == []


@kinds
def test_a_state_dict_makes_the_same_model(kind):
    model, other, file = model_of(kind), KINDS[kind]().double(), io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    assert torch.equal(model(*texts()), other(*texts()))


def test_without_attention_only_the_summary_is_read():
    model, (source, target) = model_of("fixed summary"), texts()
    memory = model.encode(source)
    before = model.decode(target, memory)
    memory.values.zero_()
    assert torch.equal(model.decode(target, memory), before)


@attentive
def test_watching_sees_the_alignment_of_every_word(kind):
    model, (source, target) = model_of(kind), texts()
    with regard.watch(model) as seen, torch.no_grad():
        model(source, target)
    assert len(seen.sites) == 5
    rows = seen.sites[2].rows([0])
    assert rows.shape[-1] == 8
    torch.testing.assert_close(rows.sum(-1), torch.ones_like(rows.sum(-1)))


@kinds
def test_padding_before_the_target_changes_nothing(kind):
    model, (source, target) = model_of(kind), texts()
    skipped, caches = torch.tensor([0, 3, 1]), model.caches()
    padded = model(source, target, padding=skipped)
    for item, start in enumerate(skipped.tolist()):
        alone = model(source[item : item + 1], target[item : item + 1, start:])
        torch.testing.assert_close(padded[item, start:], alone[0])
    memory = model.encode(source)
    parts = [model.decode(part, memory, cache=caches, padding=skipped) for part in target.split([2, 1, 2], 1)]
    torch.testing.assert_close(torch.cat(parts, 1), padded)


@pytest.mark.parametrize(
    "weighing", ["softmax", "sparsemax", "entmax15", "hard", "softmax(1)", "sigmoid(-1)", "top_k(2)"]
)
def test_weighings_of_an_alignment_are_the_librarys(weighing):
    model, (source, _) = model_of("dot"), texts()
    model.decoder.alignment = alignment = aligned(f"dot; {weighing}", 6, 6, 5)
    memory, state = model.encode(source), torch.randn(3, 6, dtype=torch.double)
    weigh = named(weighing, heads=1, head_width=6).weighing
    weights = weigh.weigh(torch.einsum("bk,bnk->bn", state, memory.values)[:, None, None], GRID, None).weights[
        :, 0, 0
    ]
    torch.testing.assert_close(alignment(state, memory), torch.einsum("bn,bna->ba", weights, memory.values))


GRID = Grid.whole(Sizes.of(1, 8, batch=3), torch.device("cpu"))

NONSENSE = {
    "linear": "would be no alignment",
    "cosine": "out of additive, bilinear, dot",
    "window(3)": "place",
    "alibi": "place",
    "additive; dot": "one score",
    "additive(0)": "at least 1",
    "aditive": "Did you mean additive",
}


@pytest.mark.parametrize("words", NONSENSE)
def test_words_without_meaning_for_an_alignment_are_refused(words):
    with pytest.raises(LayerError, match=NONSENSE[words]):
        searching_tiny(words)


@pytest.mark.parametrize("make", [searching_tiny, feeding_tiny], ids=["searching", "input feeding"])
def test_dropout_is_for_training_alone(make):
    torch.manual_seed(0)
    model, (source, target) = make(dropout=0.5).double(), texts()
    assert not torch.allclose(model(source, target), model(source, target))
    plain = make().double()
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.eval()(source, target), plain(source, target))
