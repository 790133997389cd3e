"""The laws of generation: what is written is what the model's own numbers say, however it is read."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.errors import GenerationError
from regard.models.generation import Beam, Greedy, Sample, at_strings, generate, left_padded, spelled, stream
from tests.generating import Known, KnownTranslation, as_tokens, attending

WAYS = {
    "greedy": Greedy(),
    "sampled": Sample(temperature=1.3, top_k=7, top_p=0.9, seed=3),
    "beams": Beam(3),
}
PROMPTS = [[5], [1, 2, 3, 4], [7, 7, 2]]


def equal(one, other):
    """Expect two results to be the same."""
    assert one.lists() == other.lists()
    assert torch.equal(one.stopped, other.stopped)
    torch.testing.assert_close(one.log_probability, other.log_probability, atol=1e-4, rtol=1e-5)


def greedy(model, prompt, length, stop=()):
    """Return the most probable token after token, and the log-probability, by the formula."""
    text, total = [], 0.0
    while len(text) < length and not (text and text[-1] in stop):
        row = model.log_probabilities([*prompt, *text])
        text.append(max(range(len(row)), key=row.__getitem__))
        total += max(row)
    return text, total


@given(
    st.integers(0, 10_000), st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=6), min_size=1, max_size=4)
)
def test_greedy_takes_the_most_probable_token_until_each_text_ends(seed, prompts):
    model = Known(5, seed)
    tokens, padding = left_padded(prompts, fill=4)
    got = generate(model, tokens, length=9, stop=(1, 2), padding=padding, fill=3)
    wanted = [greedy(model, prompt, 9, (1, 2)) for prompt in prompts]
    assert got.lists() == [text for text, _ in wanted]
    assert got.stopped.tolist() == [text[-1] in (1, 2) for text, _ in wanted]
    assert got.tokens.shape[1] == max(len(text) for text, _ in wanted)
    assert all(set(row[n:]) <= {3} for row, n in zip(got.tokens.tolist(), got.lengths, strict=True))
    assert got.log_probability.tolist() == pytest.approx([total for _, total in wanted], abs=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", [Known(11, 2), attending()], ids=["known", "attention"])
@pytest.mark.parametrize(
    "how", [{"cache": False}, {"chunk": 1}, {"chunk": 3}, {"chunk": 3, "cache": False}], ids=str
)
def test_with_a_cache_and_without_in_chunks_and_at_once_the_same_is_written(way, model, how):
    tokens, padding = left_padded(PROMPTS)
    given = {"length": 12, "stop": 9, "padding": padding, "sampling": WAYS[way]}
    equal(generate(model, tokens, **given, **how), generate(model, tokens, **given))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", [Known(11, 2), attending()], ids=["known", "attention"])
def test_what_stands_beside_a_text_does_not_matter(way, model):
    tokens, padding = left_padded(PROMPTS)
    every = generate(model, tokens, length=12, stop=9, padding=padding, sampling=WAYS[way])
    for item, prompt in enumerate(PROMPTS[:1] if way == "sampled" else PROMPTS):
        alone = generate(model, as_tokens(prompt), length=12, stop=9, sampling=WAYS[way])
        assert alone.lists() == every.lists()[item : item + 1]


@pytest.mark.parametrize("penalty", [0.6, -0.5])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stop", [(), 9])
def test_each_text_may_have_a_greatest_length_of_its_own(way, stop, penalty):
    sampling = Beam(3, length_penalty=penalty) if way == "beams" else WAYS[way]
    many = [*PROMPTS, *([n, n + 1] for n in range(6))]
    tokens, padding = left_padded(many)
    lengths = torch.tensor([3, 12, 1, 9, 3, 5, 7, 12, 2])
    given = {"stop": stop, "sampling": sampling, "fill": 10}
    every = generate(Known(11, 2), tokens, length=lengths, padding=padding, **given)
    for item, (prompt, length) in enumerate(zip(many, lengths.tolist(), strict=True)):
        if way == "sampled":  # what is drawn depends on the place
            alone = generate(Known(11, 2), tokens, length=length, padding=padding, **given)
            lists, place = alone.lists()[item], item
        else:
            alone = generate(Known(11, 2), as_tokens(prompt), length=length, **given)
            lists, place = alone.lists()[0], 0
        assert every.lists()[item] == lists
        assert every.stopped[item] == alone.stopped[place]
        torch.testing.assert_close(every.log_probability[item], alone.log_probability[place])
        assert set(every.tokens[item, len(lists) :].tolist()) <= {10}
    assert stop or not every.stopped.any()


def test_a_text_at_its_greatest_length_is_spelled_no_further():
    steps = list(stream(Known(5), as_tokens([1], [2]), length=torch.tensor([2, 4]), fill=4))
    assert [step.ended.tolist() for step in steps] == [[False, False], [True, False], [True, False], [True, True]]
    assert [len("".join(spelled(steps, lambda tokens: "a" * len(tokens), item))) for item in (0, 1)] == [2, 4]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cache", [True, False])
def test_a_memory_goes_with_its_item(way, cache):
    model, source = KnownTranslation(6, 1), as_tokens([1, 2], [400, 8], [3, 70])
    start = torch.full((3, 1), 5)
    given = {"length": 7, "stop": 2, "cache": cache}
    got = generate(model, start, memory=model.encode(source), sampling=WAYS[way], **given)
    for item in range(3 if way != "sampled" else 1):
        memory = model.encode(source[item : item + 1])
        alone = generate(model, start[:1], memory=memory, sampling=WAYS[way], **given)
        assert alone.lists() == got.lists()[item : item + 1]


def test_a_cache_that_holds_a_text_is_gone_on_from():
    model, prompt = attending(), as_tokens([1, 2, 3, 4], [5, 6, 7, 8])
    padding = torch.tensor([0, 3])
    cache = model.caches()
    model(prompt[:, :2], cache=cache, padding=padding)
    got = generate(model, prompt[:, 2:], length=6, cache=cache, padding=padding)
    equal(got, generate(model, prompt, length=6, padding=padding))


def test_sampling_draws_by_the_probabilities():
    model, count = Known(6, 4), 40_000
    prompt = torch.full((count, 1), 2)
    got = generate(model, prompt, length=1, sampling=Sample(temperature=0.7, seed=11)).tokens.flatten()
    P = (model.table[3].double() / 0.7).softmax(-1)
    error = (P * (1 - P) / count).sqrt()
    share = torch.bincount(got, minlength=6) / count
    assert ((share - P).abs() < 4.5 * error + 1e-6).all()
    pairs = got[:-1] * 6 + got[1:]
    both = torch.outer(P, P).flatten()
    share = torch.bincount(pairs, minlength=36) / (count - 1)
    assert ((share - both).abs() < 5 * (both / count).sqrt() + 1e-6).all()


def test_steps_draw_anew():
    flat = Known(2, 0)
    flat.table.zero_()
    got = generate(flat, torch.zeros(2_000, 1, dtype=torch.long), length=8, sampling=Sample(seed=5)).tokens
    numbers = got @ (2 ** torch.arange(8))
    share = torch.bincount(numbers, minlength=256) / 2_000
    assert share.max() < 0.016


def test_a_seed_draws_the_same_again_and_torchs_generator_settles_one():
    model, prompt = Known(11), as_tokens([1], [1])

    def drawn(seed=None):
        return generate(model, prompt, length=20, sampling=Sample(seed=seed)).lists()

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1)[0] != drawn(1)[1]
    torch.manual_seed(8)
    first = [drawn(), drawn()]
    torch.manual_seed(8)
    assert [drawn(), drawn()] == first
    assert first[0] != first[1]


def remaining(row, temperature, top_k, top_p):
    """Return the tokens that may be drawn, from the definition, in float64."""
    order = sorted(range(len(row)), key=lambda token: -row[token])
    order = [token for token in order if row[token] > -math.inf][:top_k]
    P = [math.exp((row[token] - row[order[0]]) / temperature) for token in order]
    sums = [math.fsum(P[:n]) / math.fsum(P) for n in range(len(P))]
    return {token for token, before in zip(order, sums, strict=True) if before < (top_p or 2)}


@settings(max_examples=200)
@given(
    st.integers(0, 10_000),
    st.floats(0.05, 20),
    st.none() | st.integers(1, 12),
    st.none() | st.floats(0.01, 0.999),
    st.booleans(),
)
def test_top_k_and_top_p_leave_in_what_the_papers_say(seed, temperature, top_k, top_p, forbidden):
    logits = 3 * torch.randn(1, 9, generator=torch.Generator().manual_seed(seed))
    if forbidden:
        logits[0, ::2] = -torch.inf
    got = Sample(temperature, top_k, top_p).remaining(logits)
    assert set(got[0].isfinite().nonzero().flatten().tolist()) == remaining(
        logits[0].double().tolist(), temperature, top_k, top_p
    )
    left = got.isfinite()
    whole = (logits.double() / temperature).masked_fill(~left, -torch.inf)
    torch.testing.assert_close(got.softmax(-1), whole.softmax(-1))


@pytest.mark.parametrize("sampling", [Sample(1e-300, seed=1), Sample(top_k=1, seed=1), Sample(top_p=1e-9, seed=1)])
def test_the_ends_of_sampling_are_greedy(sampling):
    model, prompt = Known(11), as_tokens(*[[n] for n in range(11)])
    equal(generate(model, prompt, length=9, sampling=sampling), generate(model, prompt, length=9))


def test_log_probability_is_the_models_own():
    model = Known(7)
    got = generate(model, as_tokens([2], [3]), length=6, stop=1, sampling=Sample(3.0, 4, 0.8, seed=2))
    for prompt, text, told in zip(([2], [3]), got.lists(), got.log_probability.tolist(), strict=True):
        wanted = sum(model.log_probabilities([*prompt, *text[:n]])[text[n]] for n in range(len(text)))
        assert told == pytest.approx(wanted, abs=1e-5)


def test_a_stream_is_the_generation_and_nothing_is_computed_ahead():
    model, (tokens, padding) = Known(11, 5), left_padded(PROMPTS)
    given = {"length": 15, "stop": 9, "padding": padding}
    whole = generate(model, tokens, **given)
    model.calls = 0
    steps = stream(model, tokens, **given)
    assert model.calls == 0
    first = next(steps)
    assert model.calls == 1
    assert torch.is_grad_enabled()
    every = [first, *steps]
    assert model.calls == len(every) == whole.tokens.shape[1]
    assert torch.equal(torch.stack([step.tokens for step in every], 1), whole.tokens)
    torch.testing.assert_close(sum(step.log_probability for step in every), whole.log_probability)
    assert torch.equal(every[-1].stopped, whole.stopped)


def test_nothing_written_has_a_gradient():
    model = attending()
    for sampling in WAYS.values():
        assert not generate(model, as_tokens([1]), length=3, sampling=sampling).log_probability.requires_grad
    assert not any(step.log_probability.requires_grad for step in stream(model, as_tokens([1]), length=3))


LETTERS = ["a", "b", "c", "</script>", "\N{WAVING HAND SIGN}", "שלום", "\N{ZERO WIDTH JOINER}", "\n", " ", "é", "x"]


def letters(tokens):
    return "".join(LETTERS[token] for token in tokens)


@pytest.mark.parametrize("strings", ["a", ["\N{WAVING HAND SIGN}", "שלום"], ["ript>", "never"]], ids=str)
@pytest.mark.parametrize("sampling", [Greedy(), Sample(seed=1), Beam(2)])
def test_a_text_ends_at_the_first_of_some_strings(strings, sampling):
    model, prompts = Known(11, 3), as_tokens(*[[n] for n in range(11)])
    got = generate(model, prompts, length=30, stop=at_strings(strings, letters), sampling=sampling)
    wanted = [strings] if isinstance(strings, str) else strings
    assert got.stopped.any()
    for text, stopped in zip(got.lists(), got.stopped, strict=True):
        assert not any(each in letters(text[:-1]) for each in wanted)
        assert any(each in letters(text) for each in wanted) == stopped
        assert stopped or len(text) == 30


def test_several_rules_end_a_text_at_the_first_that_applies():
    model, prompts = Known(11, 3), as_tokens([1], [2], [3], [4])
    third = lambda written: torch.full((len(written),), written.shape[1] >= 3)  # noqa: E731
    got = generate(model, prompts, length=30, stop={7, third})
    free = generate(model, prompts, length=30)
    for text, whole in zip(got.lists(), free.tokens.tolist(), strict=True):
        assert text == whole[: min(3, whole.index(7) + 1 if 7 in whole else 3)]
    assert got.stopped.all()


BYTES = "añ \N{FAMILY}é\N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4} שלום </script>".encode()


def decode(tokens):
    return bytes(BYTES[token] for token in tokens).decode(errors="replace")


class Counting:
    """A model that writes 0, 1, 2, ..."""

    def caches(self):
        return []

    def __call__(self, tokens, *, cache=None, padding=None):
        return torch.nn.functional.one_hot(tokens + 1, len(BYTES) + 1).float()


@pytest.mark.parametrize("stop", [(), 20])
def test_pieces_of_text_are_whole_characters_and_together_the_text(stop):
    steps = stream(Counting(), as_tokens([0]), length=len(BYTES) - 1, stop=stop)
    pieces = list(spelled(steps, decode))
    count = (stop or len(BYTES) - 1) + 1
    assert "".join(pieces) == BYTES[1:count].decode(errors="replace")
    assert all(pieces)
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces[:-1])
    assert len(pieces) == len(BYTES[1:count].decode(errors="replace"))


def test_pieces_of_a_text_that_changes_afterwards_are_refused():
    steps = stream(Counting(), as_tokens([0]), length=5)
    with pytest.raises(GenerationError, match="clean_up_tokenization_spaces"):
        list(spelled(steps, lambda tokens: str(len(tokens))))


def test_prompts_of_different_lengths_end_together():
    tokens, padding = left_padded([[1, 2, 3], [4]], fill=9)
    assert tokens.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert torch.equal(left_padded([b"\1\2\3", torch.tensor([4])], fill=9)[0], tokens)
    assert padding.tolist() == [0, 2]


def test_the_caller_finds_its_prompts_and_logits_unchanged():
    model, (tokens, padding) = Known(11), left_padded(PROMPTS)
    before = tokens.clone(), padding.clone(), model.table.clone()
    for sampling in WAYS.values():
        generate(model, tokens, length=8, padding=padding, sampling=sampling)
    assert all(map(torch.equal, before, (tokens, padding, model.table)))


def test_whole_numbers_of_32_bits_are_prompts_too():
    model, prompt = attending(), as_tokens([1, 2])
    for cache in (True, False):
        equal(generate(model, prompt.int(), length=5, cache=cache), generate(model, prompt, length=5))


ONE = torch.tensor([[1, 2]])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tokens": ONE[0]}, r"tokens: expected whole numbers \(B, N\)"),
        ({"tokens": ONE.float()}, "float32"),
        ({"tokens": ONE[:, :0]}, "at least one item and one token"),
        ({"tokens": ONE[:0]}, "at least one item and one token"),
        ({"length": 0}, "length: expected a whole number, 1 or above; got 0"),
        ({"length": 2.5}, "length: expected a whole number, 1 or above; got 2.5"),
        ({"length": torch.tensor([3, 3])}, r"one for each item, \(1,\)"),
        ({"length": torch.tensor([0])}, "length: expected a whole number, 1 or above"),
        ({"chunk": 0}, "chunk"),
        ({"fill": -1}, "fill"),
        ({"stop": "end"}, "at_strings"),
        ({"stop": None}, "stop: expected numbers of tokens"),
        ({"stop": [3, True]}, "got True"),
        ({"stop": -1}, "got -1"),
        ({"stop": lambda written: written}, "boolean tensor"),
        ({"stop": lambda written: written > 1}, "one an item"),
        ({"padding": torch.tensor([[0, 1]])}, r"take \(1 - mask\)"),
        ({"padding": torch.tensor([2])}, "less than the 2 tokens"),
        ({"padding": torch.tensor([-1])}, "0 or above"),
        ({"memory": ONE}, "none for another; got one"),
        ({"model": KnownTranslation(5)}, "KnownTranslation.encode"),
        ({"model": torch.nn.Linear(2, 2)}, r"forward\(tokens, cache=, padding=\) and caches\(\); got Linear"),
    ],
)
@pytest.mark.parametrize("call", [generate, stream])
def test_refusals_say_what_was_expected(call, given, words):
    given = {"model": Known(5), "tokens": ONE, "length": 3} | given
    model, tokens = given.pop("model"), given.pop("tokens")
    with pytest.raises(GenerationError, match=words):
        list(call(model, tokens, **given))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sample(temperature=0), r"Greedy\(\)"),
        (lambda: Sample(temperature=math.nan), "temperature"),
        (lambda: Sample(top_k=0), "top_k"),
        (lambda: Sample(top_p=0), "top_p"),
        (lambda: Sample(top_p=1.1), "top_p"),
        (lambda: Beam(0), "width"),
        (lambda: Beam(2, wanted=3), "wanted"),
        (lambda: Beam(2, wanted=0), "wanted"),
        (lambda: Beam(2, length_penalty=math.inf), "length_penalty"),
        (lambda: Beam(2, offset=-1), "offset"),
        (lambda: at_strings([], str), "strings"),
        (lambda: at_strings(["a", ""], str), "none of them empty"),
        (lambda: left_padded([]), "at least one"),
        (lambda: left_padded([[1], []]), "of at least one token"),
        (lambda: stream(Known(5), ONE, length=3, sampling=Beam()), "Call generate"),
    ],
)
def test_refusals_of_parts(make, words):
    with pytest.raises(GenerationError, match=words):
        make()


@pytest.mark.parametrize("sampling", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_logits_that_choose_no_token_are_refused(sampling, number):
    model = Known(5)
    model.table[:] = number
    with pytest.raises(GenerationError, match=r"items \[0"):
        generate(model, ONE, length=3, sampling=sampling)


@pytest.mark.parametrize("shape", [(1, 5), (2, 2, 5), (1, 2, 0), (1, 0, 5)])
def test_models_that_return_something_else_are_refused(shape):
    class Odd(Counting):
        def __call__(self, tokens, *, cache=None, padding=None):
            return torch.zeros(shape)

    with pytest.raises(GenerationError, match=r"expected logits \(B, N, V\)"):
        generate(Odd(), ONE, length=3)
