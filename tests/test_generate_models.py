"""Generation by the library's own models: whatever holds their past, alone or in a batch, watched or not."""

import pytest
import torch

from regard import watch
from regard.errors import GenerationError
from regard.layers import BlockPool, GrowingCache, PagedCache, PreallocatedCache, Rotary, named
from regard.models.decoder import gpt2, llama
from regard.models.generation import Beam, Greedy, Sample, generate, left_padded, reading
from regard.models.recurrent.model import input_feeding, searching
from regard.models.t5 import t5
from regard.models.transformer import Transformer, transformer
from tests import dense

WORDS, LENGTH, STOP = 23, 11, 7
DECODERS = {
    "gpt2": lambda: gpt2(vocabulary=WORDS, width=16, layers=2, heads=4, positions=64),
    "llama": lambda: llama(
        vocabulary=WORDS, width=16, layers=2, heads=4, key_heads=2, hidden=24, rotary=Rotary(4), windows=(None, 5)
    ),
}
PAIRS = {
    "transformer": lambda: transformer(vocabulary=WORDS, width=16, layers=2, heads=4, hidden=24),
    "t5": lambda: t5(vocabulary=WORDS, width=16, head_width=4, layers=2, heads=4, hidden=24),
    "searching": lambda: searching(WORDS, WORDS, width=8, hidden=12, alignment=8, readout=8),
    "searching without attention": lambda: searching(WORDS, WORDS, width=8, hidden=12, attention=None, readout=8),
    "input feeding": lambda: input_feeding(WORDS, WORDS, width=12, layers=2),
}
WAYS = {"greedy": Greedy(), "sampled": Sample(top_p=0.9, seed=4), "beams": Beam(3)}
CACHES = {
    "growing": GrowingCache,
    "with room": lambda: PreallocatedCache(4, grows=True),
    "paged": lambda: PagedCache(BlockPool(99, 3)),
}
PROMPTS = [[5], [1, 2, 3, 4, 8, 9], [6, 6, 2]]


def build(name):
    """Return a model that is decided about what it writes, the same weights every time."""
    torch.manual_seed(1)
    model = (DECODERS | PAIRS)[name]().eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return model


def memory(model, items=slice(None)):
    """Return what is known of three sources of different lengths."""
    source = torch.randint(1, WORDS, (3, 6), generator=torch.Generator().manual_seed(2))
    real = torch.arange(6) < torch.tensor([[6], [2], [4]])
    with torch.no_grad():
        return model.encode(source[items], real=real[items])


def equal(one, other):
    assert one.lists() == other.lists()
    torch.testing.assert_close(one.log_probability, other.log_probability, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("chunk", [None, 1, 4])
@pytest.mark.parametrize("kind", CACHES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", DECODERS)
def test_every_cache_writes_what_none_writes(name, way, kind, chunk):
    model, (tokens, padding) = build(name), left_padded(PROMPTS)
    given = {"length": LENGTH, "stop": STOP, "padding": padding, "sampling": WAYS[way]}
    with torch.no_grad():
        got = generate(model, tokens, cache=model.caches(CACHES[kind]), chunk=chunk, **given)
    equal(got, generate(model, tokens, cache=False, **given))


@pytest.mark.parametrize("way", ["greedy", "beams"])
@pytest.mark.parametrize("name", DECODERS)
def test_a_batch_writes_what_each_writes_alone(name, way):
    model, (tokens, padding) = build(name), left_padded(PROMPTS)
    got = generate(model, tokens, length=LENGTH, stop=STOP, padding=padding, sampling=WAYS[way])
    for item, prompt in enumerate(PROMPTS):
        alone = generate(model, torch.tensor([prompt]), length=LENGTH, stop=STOP, sampling=WAYS[way])
        assert alone.lists() == got.lists()[item : item + 1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PAIRS)
def test_translations_do_not_depend_on_caches_nor_on_what_stands_beside(name, way):
    model, start = build(name), torch.full((3, 1), 2)
    given = {"length": LENGTH, "stop": STOP, "sampling": WAYS[way]}
    got = generate(model, start, memory=memory(model), **given)
    equal(got, generate(model, start, memory=memory(model), cache=False, **given))
    for item in range(3 if way != "sampled" else 1):
        alone = generate(model, start[:1], memory=memory(model, slice(item, item + 1)), **given)
        assert alone.lists() == got.lists()[item : item + 1]


@pytest.mark.parametrize("name", ["transformer", "t5"])
def test_a_translation_may_go_on_from_beginnings_of_different_lengths(name):
    model, (tokens, padding) = build(name), left_padded(PROMPTS)
    got = generate(model, tokens, length=LENGTH, stop=STOP, memory=memory(model), padding=padding)
    for item, prompt in enumerate(PROMPTS):
        own = memory(model, slice(item, item + 1))
        alone = generate(model, torch.tensor([prompt]), length=LENGTH, stop=STOP, memory=own)
        assert alone.lists() == got.lists()[item : item + 1]


@pytest.mark.parametrize("kind", CACHES)
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "left padded"])
@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("name", DECODERS)
def test_a_watched_generation_is_one_map(name, chunk, padded, kind):
    prompts = PROMPTS if padded else [prompt * 6 for prompt in PROMPTS[:1]] + PROMPTS[1:2]
    model, (tokens, padding) = build(name), left_padded(prompts)
    given = {"length": LENGTH, "padding": padding if padded else None, "chunk": chunk}
    with torch.no_grad(), watch(model) as seen:
        got = generate(model, tokens, cache=model.caches(CACHES[kind]), **given)
    assert got.lists() == generate(model, tokens, **given).lists()
    fed = torch.cat([tokens, got.tokens[:, :-1]], 1)
    with torch.no_grad(), watch(model) as wanted:
        model(fed, padding=given["padding"])
    joined = seen.joined()
    assert len(joined) == len(wanted) == 2
    for one, other in zip(joined, wanted, strict=True):
        assert one.sizes.queries == fed.shape[1]
        real = torch.arange(fed.shape[1]) >= padding[:, None]
        rows = real[:, None].expand_as(one.entropy)
        dense.close(one.weights()[rows], other.weights()[rows])
        dense.close(one.entropy[rows], other.entropy[rows])


@pytest.mark.parametrize("name", ["transformer", "t5", "searching", "input feeding"])
def test_a_watched_translation_is_one_map(name):
    model, start = build(name), torch.full((3, 1), 2)
    with watch(model) as seen:
        got = generate(model, start, length=LENGTH, memory=memory(model))
    fed = torch.cat([start, got.tokens[:, :-1]], 1)
    known = memory(model)
    with torch.no_grad(), watch(model) as one_pass:
        model.decode(fed, known)
    wanted = one_pass.joined()  # recurrent decoders take steps by nature
    decoding = [site for site in seen.joined() if site.path.startswith("decoder")]
    assert [(site.path, site.kind) for site in decoding] == [(site.path, site.kind) for site in wanted]
    for one, other in zip(decoding, wanted, strict=True):
        assert one.sizes.queries == LENGTH
        dense.close(one.weights(), other.weights())


@pytest.mark.parametrize("cached", [0, 2])
@pytest.mark.parametrize("name", DECODERS)
def test_the_last_logits_alone_are_the_last_of_all(name, cached):
    model, (tokens, padding) = build(name), left_padded(PROMPTS)
    every, alone = ({"cache": model.caches(), "padding": padding} for _ in range(2))
    with torch.no_grad():
        for part in (tokens[:, :cached], tokens[:, cached:])[cached == 0 :]:
            whole, last = model(part, **every), model(part, last=True, **alone)
    assert last.shape == (len(PROMPTS), 1, WORDS)
    torch.testing.assert_close(last, whole[:, -1:])


@pytest.mark.parametrize("way", WAYS)
def test_no_logits_are_made_that_nobody_reads(way):
    model, (tokens, padding) = build("llama"), left_padded(PROMPTS)
    seen = []
    model.head.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    generate(model, tokens, length=3, padding=padding, sampling=WAYS[way])
    assert seen == [1, 1, 1]


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_knows_no_last_is_given_none(way):
    model, (tokens, padding) = build("llama"), left_padded(PROMPTS)

    class Plain:
        caches = model.caches

        def __call__(self, tokens, *, cache=None, padding=None):
            return model(tokens, cache=cache, padding=padding)

    given = {"length": LENGTH, "padding": padding, "sampling": WAYS[way]}
    equal(generate(Plain(), tokens, **given), generate(model, tokens, **given))


def named_transformer(own, source):
    def makes(*, causal, cross):
        return named(source if cross else own, heads=4, head_width=4, causal=causal, cross=cross)

    torch.manual_seed(1)
    made = transformer(vocabulary=WORDS, width=16, layers=2, heads=4, hidden=24, mechanism=makes).eval()
    for parameter in made.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    return made


def translated(model, **given):
    return generate(
        model,
        torch.full((3, 1), 2),
        length=torch.tensor([LENGTH, 3, 7]),
        stop=STOP,
        memory=memory(model),
        **given,
    )


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(
    ("own", "source", "shares"),
    [
        ("dot", "dot", True),
        ("dot; alibi", "dot; entmax15", True),
        ("dot; relative_buckets", "additive", True),
        ("linear", "linear", False),
    ],
)
def test_beams_of_one_source_write_what_beams_of_copies_write(own, source, shares, cache, monkeypatch):
    model, read = named_transformer(own, source), []
    model.decoder.blocks[0].source_attention.register_forward_pre_hook(lambda _, given: read.append(len(given[1])))
    one = translated(model, sampling=Beam(3), cache=cache)
    assert model.shares_sources is shares
    assert max(read) == (3 if shares else 9)
    monkeypatch.setattr(type(model), "shares_sources", False)
    other = translated(model, sampling=Beam(3), cache=cache)
    assert max(read) == 9
    equal(one, other)
    assert one.beams.tokens.tolist() == other.beams.tokens.tolist()


def test_watched_beams_each_read_a_source_and_write_the_same():
    model = build("transformer")
    with watch(model) as seen:
        got = translated(model, sampling=Beam(3))
    equal(got, translated(model, sampling=Beam(3)))
    reads = [site for site in seen if site.path == "decoder.blocks.1.source_attention"]
    assert {site.sizes.queries for site in reads} == {1}
    assert 9 in {site.sizes.batch for site in reads}


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_decodes_in_its_own_way_is_asked_for_its_own_logits(way):
    class Insisting(Transformer):
        def decode(self, tokens, memory, **options):
            assert len(memory.vectors) == len(tokens)
            return super().decode(tokens, memory, **options).index_fill(-1, torch.tensor(3), 1e9)

    plain = build("transformer")
    written = translated(Insisting(plain.encoder, plain.decoder).eval(), sampling=WAYS[way])
    assert {token for text in written.lists() for token in text} == {3}


@pytest.mark.parametrize("way", WAYS)
def test_logits_of_some_items_at_a_time_choose_what_those_of_all_choose(way, monkeypatch):
    model = build("transformer")
    whole = translated(model, sampling=WAYS[way])
    monkeypatch.setattr(reading, "AT_ONCE", 2 * WORDS)
    equal(translated(model, sampling=WAYS[way]), whole)


def test_items_without_a_choice_are_named_by_their_places_in_the_batch(monkeypatch):
    model = build("transformer")
    monkeypatch.setattr(reading, "AT_ONCE", 2 * WORDS)
    known = memory(model)
    known.vectors[2] = torch.nan
    with pytest.raises(GenerationError, match=r"items \[2\]"):
        generate(model, torch.full((3, 1), 2), length=3, memory=known)
