"""A cache changes nothing: what is computed step by step equals what is computed at once, whatever the mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import regard
from regard import Attention, attend, causal
from regard.errors import CacheError, LayerError
from regard.layers import (
    BlockPool,
    Caches,
    DecoderBlock,
    FeedForward,
    GrowingCache,
    MultiHead,
    PagedCache,
    PreallocatedCache,
    SlidingCache,
    SourceCache,
    StateCache,
    make_caches,
)
from regard.layers.positions import AlibiBias, DynamicNTKScaling, RelativeBias, Rotary
from regard.mechanisms.masks import as_mask

LENGTH, ITEMS, WIDTH, HEADS = 23, 2, 24, 4
EXACT = {"rtol": 1e-9, "atol": 1e-9}

# Each keeps everything for texts of this length.
KINDS = {
    "growing": GrowingCache,
    "preallocated": lambda: PreallocatedCache(LENGTH),
    "doubling": lambda: PreallocatedCache(1, grows=True),
    "paged": lambda: PagedCache(BlockPool(40, 3)),
    "sliding": lambda: SlidingCache(LENGTH, 2),
}
numbers = torch.randn(ITEMS, 1, LENGTH, LENGTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
# Masks of the whole sequence: functions of how much of it there is.
MASKS = {
    "causal": lambda n: causal(),
    "causal, last": lambda n: causal(align="last"),
    "window": lambda n: causal() & regard.window(4),
    "left padding": lambda n: causal() & ~regard.padding(torch.tensor([3, 0]).clamp(max=n)),
    "documents": lambda n: causal() & regard.documents(torch.arange(n) // 5),
    "strided": lambda n: causal() & regard.strided(3),
    "fixed": lambda n: causal() & regard.fixed(4, 1),
    "dilated or global": lambda n: causal() & (regard.dilated(3, dilation=2) | regard.global_tokens([1, 6])),
    "function": lambda n: causal() & as_mask(lambda b, h, q, k: (q + k + b + h) % 3 != 1),
    "booleans": lambda n: causal() & as_mask(numbers[..., :n, :n] > -0.5),
    "numbers": lambda n: causal() & as_mask(numbers[..., :n, :n]),
    "keys": lambda n: causal() & as_mask(numbers[:, :, 0, None, :n] > -1),
}
POSITIONS = {
    "none": lambda: {},
    "rotary": lambda: {"rotary": Rotary(6)},
    "part": lambda: {"rotary": Rotary(6, part=0.67, interleaved=True)},
    "ALiBi": lambda: {"position_bias": AlibiBias(HEADS)},
    "relative": lambda: {"position_bias": RelativeBias(8, 16, HEADS, both_ways=False)},
    "ALiBi of the mechanism": lambda: {"mechanism": Attention(bias=regard.alibi(HEADS))},
    "score_mod": lambda: {"mechanism": Attention(modify=lambda s, b, h, q, k: s + torch.sin(q * 1.0) * k - h)},
    "bias tensor": lambda: {"mechanism": Attention(bias=torch.linspace(0, 1, HEADS).view(-1, 1, 1).double())},
    "capped": lambda: {"mechanism": Attention(modify=regard.soft_cap(2.0))},
}
chunks = st.lists(st.integers(1, LENGTH), min_size=1, max_size=LENGTH)


def layer(**parts):
    torch.manual_seed(0)
    made = MultiHead(WIDTH, HEADS, key_heads=2, **parts).double().eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def inputs(seed=1, items=ITEMS, length=LENGTH):
    return torch.randn(items, length, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cut(x, sizes):
    """Cut a text into pieces of these sizes, the last as long as what is left."""
    start = 0
    for size in [*sizes, x.shape[1]]:
        if start < x.shape[1]:
            yield x[:, start : start + size]
            start += size


def stepwise(made, x, cache, sizes, mask=lambda n: causal()):
    outputs, seen = [], cache.length
    with torch.no_grad():
        for piece in cut(x, sizes):
            seen += piece.shape[1]
            outputs.append(made(piece, mask=mask(seen), cache=cache))
    return torch.cat(outputs, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", MASKS)
@settings(deadline=None, max_examples=4)
@given(sizes=chunks)
def test_every_mask_says_the_same_with_every_cache(mask, kind, sizes):
    made, x = layer(), inputs()
    at_once = made(x, mask=MASKS[mask](LENGTH))
    torch.testing.assert_close(stepwise(made, x, KINDS[kind](), sizes, MASKS[mask]), at_once, **EXACT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("positions", POSITIONS)
@settings(deadline=None, max_examples=4)
@given(sizes=chunks)
def test_positions_count_on_with_every_cache(positions, kind, sizes):
    made, x = layer(**POSITIONS[positions]()), inputs()
    torch.testing.assert_close(stepwise(made, x, KINDS[kind](), sizes), made(x, mask=causal()), **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_padded_on_the_left_says_what_it_says_alone(kind):
    made, x = layer(rotary=Rotary(6)), inputs()
    left, cache, outputs = torch.tensor([6, 0]), KINDS[kind](), []
    places = (torch.arange(LENGTH) - left.view(-1, 1)).clamp(min=0)
    with torch.no_grad():
        for start, stop in ((0, 8), *((at, at + 1) for at in range(8, LENGTH))):
            hidden = causal() & ~regard.padding(left)
            outputs.append(made(x[:, start:stop], mask=hidden, positions=places[:, start:stop], cache=cache))
    padded = torch.cat(outputs, 1)
    torch.testing.assert_close(padded[:1, 6:], made(x[:1, 6:], mask=causal()), **EXACT)
    torch.testing.assert_close(padded[1:], made(x[1:], mask=causal()), **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_beams_go_on_from_the_items_they_came_from(kind):
    made, x, later = layer(rotary=Rotary(6)), inputs(), inputs(seed=2, items=4)
    cache, items = KINDS[kind](), torch.tensor([1, 0, 1, 1])
    stepwise(made, x[:, :10], cache, [7])
    cache.reorder(items)
    after = stepwise(made, later[:, :5], cache, [1, 1])
    swapped = torch.tensor([3, 0, 0, 2])
    cache.reorder(swapped)
    last = stepwise(made, later[:, 5:8], cache, [])
    text = torch.cat([x[items, :10], later[:, :5]], 1)
    torch.testing.assert_close(after, made(text, mask=causal())[:, 10:], **EXACT)
    text = torch.cat([text[swapped], later[:, 5:8]], 1)
    torch.testing.assert_close(last, made(text, mask=causal())[:, 15:], **EXACT)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [0, 1, 6, 9, 10])
def test_what_was_cropped_might_never_have_been(kind, length):
    made, x, other = layer(rotary=Rotary(6)), inputs(), inputs(seed=2)
    cache = KINDS[kind]()
    stepwise(made, x[:, :10], cache, [3])
    cache.crop(length)
    assert cache.length == length
    after = stepwise(made, other[:, :7], cache, [2])
    text = torch.cat([x[:, :length], other[:, :7]], 1)
    torch.testing.assert_close(after, made(text, mask=causal())[:, length:], **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_new_changes_nothing(kind):
    made, x, cache = layer(rotary=Rotary(6)), inputs(), KINDS[kind]()
    stepwise(made, x[:, :4], cache, [])
    with torch.no_grad():
        assert made(x[:, :0], mask=causal(), cache=cache).shape == (ITEMS, 0, WIDTH)
    after = stepwise(made, x[:, 4:], cache, [])
    torch.testing.assert_close(after, made(x, mask=causal())[:, 4:], **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_cache_has_nothing_to_move_or_forget(kind):
    made, x, cache = layer(), inputs(), KINDS[kind]()
    cache.reorder(torch.tensor([1, 0, 0]))
    cache.crop(0)
    assert cache.kept is None
    torch.testing.assert_close(stepwise(made, x, cache, [3]), made(x, mask=causal()), **EXACT)


def test_turns_that_depend_on_the_length_are_made_anew_as_it_grows():
    made, x = layer(rotary=Rotary(6, scaling=DynamicNTKScaling(2.0, 8))), inputs()
    for kind in ("growing", "preallocated", "paged"):
        cache = KINDS[kind]()
        for length, piece in zip((12, 13, 14, 15), x[:, :15].split([12, 1, 1, 1], 1), strict=True):
            now = stepwise(made, piece, cache, [])[:, -1]
            torch.testing.assert_close(now, made(x[:, :length], mask=causal())[:, -1], **EXACT)


def test_gradients_flow_through_a_growing_cache():
    made, x = layer(rotary=Rotary(6)), inputs()
    made(x, mask=causal())[:, 5:].square().sum().backward()
    wanted = [parameter.grad.clone() for parameter in made.parameters()]
    made.zero_grad()
    cache = GrowingCache()
    outputs = [made(piece, mask=causal(), cache=cache) for piece in x.split([5, 1, 17], 1)]
    sum(output.square().sum() for output in outputs[1:]).backward()
    for parameter, gradient in zip(made.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, **EXACT)


@pytest.mark.parametrize("kind", ["preallocated", "paged"])
def test_a_cache_written_in_place_refuses_gradients(kind):
    made, x = layer(), inputs()
    with pytest.raises(CacheError, match="GrowingCache"):
        made(x, mask=causal(), cache=KINDS[kind]())


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=4)
@given(sizes=chunks)
def test_a_state_serves_linear_attention_as_keys_serve_others(kind, sizes):
    gates = torch.nn.Linear(WIDTH, HEADS).double()

    def faded(x):
        return regard.gated_linear(torch.nn.functional.logsigmoid(gates(x)).transpose(1, 2))

    for mechanism in (regard.linear(), regard.retention(HEADS), faded):
        made, x = layer(mechanism=mechanism, rotary=Rotary(6)), inputs()
        (cache,) = make_caches(made, KINDS[kind])
        assert isinstance(cache, StateCache)
        parts = stepwise(made, x, cache, sizes)
        torch.testing.assert_close(parts, made(x, mask=causal()), rtol=1e-6, atol=1e-6)
        cache.reorder(torch.tensor([1, 1]))
        cache.crop(LENGTH)
        with pytest.raises(CacheError, match="state"):
            cache.crop(1)
        cache.crop(0)
        torch.testing.assert_close(stepwise(made, x, cache, [2]), parts, rtol=1e-6, atol=1e-6)


def test_a_source_is_projected_once_and_moves_with_the_items():
    torch.manual_seed(0)
    block = DecoderBlock(
        layer(),
        MultiHead(WIDTH, HEADS, source_width=10, position_bias=None).double().eval(),
        FeedForward(WIDTH, 8).double(),
        *(torch.nn.LayerNorm(WIDTH).double() for _ in range(3)),
    )
    x, source = inputs(), torch.randn(ITEMS, 5, 10, dtype=torch.float64)
    hidden = regard.padding(torch.tensor([5, 3]))
    whole = block(x, source, mask=causal(), source_mask=hidden)
    caches = make_caches(block)
    assert [type(cache) for cache in caches] == [GrowingCache, SourceCache]
    outputs, calls = [], []
    block.source_attention.key.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        for piece in x.split([4, 1, 18], 1):
            own, of_source = caches
            outputs.append(
                block(piece, source, mask=causal(), source_mask=hidden, cache=own, source_cache=of_source)
            )
    torch.testing.assert_close(torch.cat(outputs, 1), whole, **EXACT)
    assert len(calls) == 1
    assert caches.length == LENGTH
    caches.crop(LENGTH - 1)
    caches.reorder(torch.tensor([1, 0]))
    with torch.no_grad():
        mask = regard.padding(torch.tensor([3, 5]))
        own, of_source = caches
        last = block(
            x[[1, 0], -1:], source[[1, 0]], mask=causal(), source_mask=mask, cache=own, source_cache=of_source
        )
    torch.testing.assert_close(last, whole[[1, 0], -1:], **EXACT)


def test_no_caches_have_seen_nothing():
    assert Caches().length == 0


REFUSED = {
    "room for nothing": (lambda: PreallocatedCache(0), "at least one"),
    "a window of nothing": (lambda: SlidingCache(0), "window"),
    "sinks below 0": (lambda: SlidingCache(4, -1), "sinks"),
    "a pool without blocks": (lambda: BlockPool(0), "at least one"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_caches_without_meaning_are_refused(wrong):
    make, told = REFUSED[wrong]
    with pytest.raises(CacheError, match=told):
        make()


def test_a_full_cache_says_so_and_keeps_what_it_has():
    made, x = layer(), inputs()
    for cache in (PreallocatedCache(9), PagedCache(BlockPool(7, 3))):
        stepwise(made, x[:, :9], cache, [])
        with pytest.raises(CacheError, match="expected"):
            stepwise(made, x[:, 9:15], cache, [])
        assert cache.length == 9
        cache.crop(8)
        after = stepwise(made, x[:, 8:9], cache, [])
        torch.testing.assert_close(after, made(x[:, :9], mask=causal())[:, 8:], **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_another_batch_is_refused(kind):
    made, cache = layer(), KINDS[kind]()
    stepwise(made, inputs(), cache, [LENGTH])
    with pytest.raises(CacheError, match="new cache"):
        cache.extend(*torch.zeros(2, 3, 2, 1, 6, dtype=torch.float64))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [-1, 5])
def test_cropping_to_what_never_was_is_refused(kind, length):
    cache = KINDS[kind]()
    stepwise(layer(), inputs()[:, :4], cache, [])
    with pytest.raises(CacheError, match="from 0 to 4"):
        cache.crop(length)


def test_linear_attention_refuses_what_keeps_keys():
    made = layer(mechanism=regard.linear())
    with pytest.raises(LayerError, match="make_caches"):
        made(inputs(), cache=GrowingCache())
    with pytest.raises(CacheError, match="linear"):
        layer()(inputs(), cache=StateCache())
    source = SourceCache()
    source.extend(*torch.zeros(2, 1, 1, 1, 1))
    with pytest.raises(CacheError, match="source"):
        source.extend(*torch.zeros(2, 1, 1, 1, 1))


# What a sliding cache forgets, against the formula of the paper.

WINDOW, SINKS = 5, 3


def streamed(made, x, sinks, bias):
    """Return what a layer says of each position that sees a few first and last ones, seated side by side."""
    outputs = []
    for t in range(x.shape[1]):
        seen = [k for k in range(t + 1) if k < sinks or k > t - WINDOW]
        seats = torch.arange(len(seen))
        query = made.query(x[:, t : t + 1]).view(ITEMS, 1, HEADS, -1).transpose(1, 2)
        key, value = (
            part(x[:, seen]).view(ITEMS, len(seen), 2, -1).transpose(1, 2).repeat_interleave(2, 1)
            for part in (made.key, made.value)
        )
        if made.rotary is not None:
            query, key = made.rotary(query, seats[-1:]), made.rotary(key, seats)
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        if bias:
            slopes = torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8], dtype=torch.float64)
            scores = scores - slopes.view(-1, 1, 1) * (seats[-1] - seats)
        outputs.append(made.output((scores.softmax(-1) @ value).transpose(1, 2).flatten(2)))
    return torch.cat(outputs, 1)


@pytest.mark.parametrize("sinks", [0, SINKS])
@pytest.mark.parametrize("positions", ["none", "rotary", "ALiBi"])
@settings(deadline=None, max_examples=8)
@given(sizes=chunks)
def test_a_sliding_cache_sees_sinks_and_window_seated_side_by_side(positions, sinks, sizes):
    made, x = layer(**POSITIONS[positions]()), inputs()
    cache = SlidingCache(WINDOW, sinks)
    torch.testing.assert_close(
        stepwise(made, x, cache, sizes), streamed(made, x, sinks, positions == "ALiBi"), **EXACT
    )
    assert cache.kept.key.shape[2] == sinks + WINDOW - 1
    with pytest.raises(CacheError, match="window"):
        cache.crop(LENGTH - 1)
    cache.crop(0)
    again = stepwise(made, x[:, :7], cache, [])
    torch.testing.assert_close(again, streamed(made, x[:, :7], sinks, positions == "ALiBi"), **EXACT)


@pytest.mark.parametrize("mask", MASKS)
@settings(deadline=None, max_examples=4)
@given(sizes=chunks)
def test_a_sliding_cache_asks_every_mask_at_the_places_that_are_left(mask, sizes):
    made, x = layer(), inputs()
    seen = regard.window(WINDOW - 1) | as_mask(torch.arange(LENGTH) < SINKS)
    at_once = made(x, mask=as_mask(MASKS[mask](LENGTH)) & seen)
    torch.testing.assert_close(stepwise(made, x, SlidingCache(WINDOW, SINKS), sizes, MASKS[mask]), at_once, **EXACT)


def test_other_scores_than_dot_products_slide_one_by_one_and_say_so():
    made, x = layer(rotary=Rotary(6), mechanism=Attention(score=regard.cosine())), inputs()
    assert stepwise(made, x, SlidingCache(WINDOW, SINKS), [1] * LENGTH).isfinite().all()
    with pytest.raises(LayerError, match="one position at a time"):
        stepwise(made, x, SlidingCache(WINDOW, SINKS), [LENGTH])


# Pages.


def test_blocks_are_shared_copied_when_written_and_given_back():
    made, x, later = layer(), inputs(items=1), inputs(seed=2, items=3)
    pool = BlockPool(20, 4)
    start = PagedCache(pool)
    stepwise(made, x[:, :10], start, [])
    assert pool.free == 17
    first, second = start.fork(torch.tensor([0, 0])), start.fork(torch.tensor([0]))
    assert pool.free == 17
    outputs = stepwise(made, later[:2, :1], first, [])
    assert pool.free == 15  # each of two items writes into a copy of the third block
    text = torch.cat([x[:, :10].expand(2, -1, -1), later[:2, :1]], 1)
    torch.testing.assert_close(outputs, made(text, mask=causal())[:, 10:], **EXACT)
    outputs = stepwise(made, later[2:, :4], second, [1, 2])
    assert pool.free == 13
    text = torch.cat([x[:, :10], later[2:, :4]], 1)
    torch.testing.assert_close(outputs, made(text, mask=causal())[:, 10:], **EXACT)
    for cache in (start, first, second):
        cache.crop(0)
    assert pool.free == 20


def test_a_pool_is_for_one_layer():
    pool = BlockPool(4, 4)
    PagedCache(pool).extend(*torch.zeros(2, 1, 2, 3, 6))
    with pytest.raises(CacheError, match="pool for each layer"):
        PagedCache(pool).extend(*torch.zeros(2, 1, 2, 3, 8))
    assert pool.free == 3


SHARING = {
    "plain": {},
    "rotary": {"rotary": Rotary(6)},
    "sink": {"sink": True},
    "ALiBi of the mechanism": {"mechanism": Attention(bias=regard.alibi(HEADS))},
    "score_mod": {"mechanism": Attention(modify=lambda s, b, h, q, k: s + torch.sin(q * 1.0) * k - h + b)},
    "sparsemax": {"mechanism": Attention(weigh=regard.sparsemax())},
    "ALiBi": {"position_bias": AlibiBias(HEADS)},
}


@pytest.mark.parametrize("parts", SHARING)
@pytest.mark.parametrize("mask", ["causal", "window", "strided", "function", "left padding"])
def test_what_items_share_is_read_once_and_says_the_same(parts, mask):
    made, x, later = layer(**SHARING[parts]), inputs(items=1), inputs(seed=2)
    paged, growing = PagedCache(BlockPool(30, 3)), GrowingCache()
    for cache in (paged, growing):
        stepwise(made, x[:, :10], cache, [])
        cache.reorder(torch.tensor([0, 0]))
    assert paged.kept.prefix.key.shape[:3] == (1, 2, 9)
    with torch.no_grad():
        assert made(later[:, :0], mask=MASKS[mask](10), cache=paged).shape == (2, 0, WIDTH)
    for sizes in ([1, 1], [3], [5]):
        piece = later[:, : sum(sizes)]
        both = [stepwise(made, piece, cache, sizes, MASKS[mask]) for cache in (paged, growing)]
        torch.testing.assert_close(*both, **EXACT)


def test_who_watches_sees_one_attention_over_everything():
    made, x, later = layer(), inputs(items=1), inputs(seed=2)
    paged = PagedCache(BlockPool(30, 3))
    stepwise(made, x[:, :10], paged, [])
    paged.reorder(torch.tensor([0, 0]))
    unwatched = paged.fork(torch.tensor([0, 1]))
    with torch.no_grad(), regard.watch(made) as seen:
        output = made(later[:, :1], mask=causal(), cache=paged)
    (site,) = seen.sites
    assert site.sizes.keys == 11
    torch.testing.assert_close(stepwise(made, later[:, :1], unwatched, []), output, **EXACT)


def test_attention_to_keys_kept_is_one_call_of_attend():
    """A cached step equals `attend` with the last row of the formula."""
    made, x, cache = layer(), inputs(), GrowingCache()
    stepwise(made, x[:, :-1], cache, [])
    last = stepwise(made, x[:, -1:], cache, [])
    query = made.query(x[:, -1:]).view(ITEMS, 1, HEADS, -1).transpose(1, 2)
    heads = attend(query, cache.kept.key, cache.kept.value).output
    torch.testing.assert_close(last, made.output(heads.transpose(1, 2).flatten(2)), **EXACT)
