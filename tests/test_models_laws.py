"""Laws of all models: caches change nothing, padding is not read, everything learns, and every head can be seen."""

import io

import pytest
import torch
from torch.nn import functional as F

import regard
from regard.errors import ModelError, ShapeError
from tests.tiny_models import DECODERS, KINDS, LENGTH, PADDING, REAL, RECURRENT, TRANSLATORS, WORDS, tokens

kinds = pytest.mark.parametrize("kind", KINDS)
decoders = pytest.mark.parametrize("kind", DECODERS)
translators = pytest.mark.parametrize("kind", TRANSLATORS)
CHUNKS = pytest.mark.parametrize("chunks", [[1] * LENGTH, [4, 1, 2], [LENGTH]], ids=str)


def close(got: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


@CHUNKS
@decoders
def test_a_decoder_with_a_cache_says_what_it_says_without(kind, chunks):
    model, padding = DECODERS[kind].build(), PADDING
    cache = model.caches()
    parts = [model(part, cache=cache, padding=padding) for part in tokens().split(chunks, 1)]
    text = torch.arange(LENGTH) >= padding[:, None]
    close(torch.cat(parts, 1)[text], model(tokens(), padding=padding)[text])


@pytest.mark.parametrize("chunks", [[1] * 5, [3, 2]], ids=str)
@translators
def test_a_translation_with_a_cache_is_that_without(kind, chunks):
    model = TRANSLATORS[kind].build()
    memory, cache = model.encode(tokens(), real=REAL), model.caches()
    target = tokens(1, 5)
    parts = [model.decode(part, memory, cache=cache) for part in target.split(chunks, 1)]
    close(torch.cat(parts, 1), model(tokens(), target, real=REAL))


@decoders
def test_caches_go_on_with_chosen_items(kind):
    model, items, cache = DECODERS[kind].build(), torch.tensor([2, 0, 2]), DECODERS[kind].build().caches()
    model(tokens()[:, :4], cache=cache)
    cache.reorder(items)
    close(model(tokens()[items, 4:], cache=cache), model(tokens())[items, 4:])


@decoders
def test_what_stands_before_the_text_is_not_read(kind):
    model = DECODERS[kind].build()
    padded = model(tokens(), padding=PADDING)
    for item, skipped in enumerate(PADDING.tolist()):
        close(padded[item, skipped:], model(tokens()[item : item + 1, skipped:])[0])


@translators
def test_padding_of_the_target_is_not_read(kind):
    model, padding, target = TRANSLATORS[kind].build(), torch.tensor([0, 2, 4]), tokens(1, 5)
    padded = model(tokens(), target, padding=padding)
    for item, skipped in enumerate(padding.tolist()):
        close(padded[item, skipped:], model(tokens()[[item]], target[[item], skipped:])[0])


@pytest.mark.parametrize("kind", ["bert", *TRANSLATORS])
def test_what_is_no_token_of_a_source_is_not_read(kind):
    each = KINDS[kind]
    model = each.build()
    padded = model(*each.given, real=REAL)
    for item, length in enumerate(REAL.sum(1).tolist()):
        alone = model(tokens()[[item], :length], *(given[[item]] for given in each.given[1:]))
        close(padded[item, : alone.shape[1]], alone[0])


@kinds
def test_every_parameter_learns(kind):
    each = KINDS[kind]
    model = each.build()
    out = model(*each.given, **each.named)
    F.cross_entropy(out.flatten(0, -2), torch.arange(out[..., 0].numel()) % out.shape[-1]).backward()
    idle = [name for name, tensor in model.named_parameters() if tensor.grad is None or not tensor.grad.any()]
    # Of keys' biases softmax keeps nothing, as they add the same to all scores of a query.
    assert [name for name in idle if not name.endswith("key.bias")] == []


@pytest.mark.parametrize("kind", [*KINDS, *RECURRENT])
def test_a_state_dict_makes_the_same_model(kind):
    each = (KINDS | RECURRENT)[kind]
    model, other, file = each.build(), each.make(2).double().eval(), io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    assert torch.equal(model(*each.given, **each.named), other(*each.given, **each.named))


@kinds
def test_dropout_is_for_training_alone(kind):
    each = KINDS[kind]
    model = each.build()
    first, second = model(*each.given), model(*each.given)
    assert torch.equal(first, second)
    trained = model.train()(*each.given)
    drops = any(isinstance(part, torch.nn.Dropout) and part.p for part in model.modules())
    assert torch.equal(trained, first) is not drops


@kinds
def test_watching_sees_every_call_of_attention(kind):
    each = KINDS[kind]
    model = each.build()
    plain = model(*each.given, **each.named)
    with regard.watch(model) as seen:
        watched = model(*each.given, **each.named)
    assert torch.equal(watched, plain)
    assert len(seen.sites) == 2 * each.calls
    assert all("attention" in site.name for site in seen.sites)
    assert {site.entropy.shape[1] for site in seen.sites} == {4}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_models_compile_as_one_graph(kind):
    each = KINDS[kind]
    model = each.build(layers=1)
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend="eager")(*each.given, **each.named)
        close(compiled, model(*each.given, **each.named))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, *RECURRENT])
@pytest.mark.filterwarnings("ignore:The tensor attributes .* were assigned during export:UserWarning")
def test_models_can_be_exported(kind):
    each = (KINDS | RECURRENT)[kind]
    model = each.build(layers=1)
    with torch.no_grad():
        exported = torch.export.export(model, each.given, each.named).module()
        close(exported(*each.given, **each.named), model(*each.given, **each.named))


def test_a_text_without_batch_is_refused():
    with pytest.raises(ModelError, match=r"expected whole numbers \(B, N\); got torch.int64 of shape \(7,\)"):
        DECODERS["gpt2"].build()(tokens()[0])


@pytest.mark.parametrize("kind", ["gpt2", *RECURRENT])
@pytest.mark.parametrize("wrong", [-1, WORDS])
def test_tokens_beyond_the_vocabulary_are_refused(kind, wrong):
    each = (DECODERS | RECURRENT)[kind]
    given = [tokens().clone() for _ in each.given]
    given[-1][0, 1] = wrong
    with pytest.raises(ModelError, match="tokens: expected numbers from 0 to 19"):
        each.build()(*given)


def test_more_tokens_than_positions_are_refused():
    with pytest.raises(ShapeError, match="expected positions from 0 to 511"):
        KINDS["bert"].build()(torch.zeros(1, 513, dtype=torch.long))


@pytest.mark.parametrize("real", [torch.ones(3, LENGTH), torch.ones(3, 2, dtype=torch.bool)])
def test_a_mask_that_is_none_of_tokens_is_refused(real):
    with pytest.raises(ModelError, match=r"real: expected booleans \(3, 7\)"):
        KINDS["bert"].build()(tokens(), real=real)


def test_segments_are_refused_where_there_are_none():
    with pytest.raises(ModelError, match="segments: expected none"):
        TRANSLATORS["t5"].build().encoder(tokens(), segments=tokens())


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ModelError, match=r"expected \(B, 3, 8, 16\); got \(1, 3, 16, 8\)"):
        KINDS["vit"].build()(torch.zeros(1, 3, 16, 8))


@decoders
def test_no_tokens_are_no_logits(kind):
    assert DECODERS[kind].build()(tokens()[:, :0]).shape == (3, 0, WORDS)
