"""Probes say of every head what its model's weights say, find a circuit set by hand, and leave the model alone."""

import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard
from regard.errors import InputError, UnknownSiteError, WatchError
from regard.watch.heads.estimate import Estimate
from regard.watch.heads.induction import induction
from regard.watch.heads.retrieval import retrieval
from regard.watch.heads.table import heads
from tests.demo import folder, needs_demo
from tests.models import FAMILIES, WORDS

# A two-layer model of attention alone, whose weights are set by hand.

COUNT, PLACES = 40, 128
SHARP = 60.0
# Token 0 starts texts: without it, the first token would have no other before it to look at.
WITH_START = {"vocab": range(1, COUNT), "start": [0]}


class Circuit(nn.Module):
    """Tokens and places are one-hot.

    Layer 0: head 0 looks at the previous place and copies its token into a second room; head 1 spreads evenly.
    Layer 1: head 0 looks where the previous token was the present one (induction), head 1 at the present token
    itself (duplicate); what head 0 reads is the prediction.
    """

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Identity() for _ in range(2))

    def forward(self, input_ids):
        token = F.one_hot(input_ids, COUNT).float()
        place = F.one_hot(torch.arange(input_ids.shape[1]), PLACES).float().expand(len(input_ids), -1, -1)
        back = place.roll(-1, -1)
        nothing = torch.zeros_like(place)
        previous, _ = self.attend(0, [(back, place), (nothing, nothing)], token)
        other = self.attend(1, [(token, previous), (token, token)], token)
        return other[0]

    def attend(self, layer, heads_, value):
        width = max(query.shape[-1] for query, _ in heads_)
        q, k = (
            torch.stack([F.pad(pair[side], (0, width - pair[side].shape[-1])) for pair in heads_], 1)
            for side in (0, 1)
        )
        v = torch.stack([value] * len(heads_), 1)
        self.layers[layer](v)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=SHARP).unbind(1)


def test_an_induction_circuit_set_by_hand_is_found():
    model = Circuit()
    found = induction(model, length=20, repeats=4, **WITH_START)
    first, second = found.measured["induction"]
    assert found.causal
    assert found.kinds(second, 0) == ("induction",)
    assert found.estimate("induction", second, 0).mean == pytest.approx(1.0, abs=1e-3)
    assert found.kinds(second, 1) == ("duplicate",)
    # The token itself, which it sees too, takes the other half.
    assert found.estimate("duplicate", second, 1).mean == pytest.approx(0.5, abs=1e-3)
    assert found.kinds(first, 0) == found.kinds(first, 1) == ()


def test_the_circuit_copies_and_so_retrieves_needles():
    model = Circuit()
    found = retrieval(model, lengths=(50, 90), needle_length=8, **WITH_START)
    second = list(found.measured["retrieval"])[1]
    assert found.kinds(second, 0) == ("retrieval",)
    assert found.estimate("retrieval", second, 0) == Estimate(1.0, 1.0, 1.0)
    assert found.estimate("retrieval weight", second, 0).mean == pytest.approx(1.0, abs=1e-3)
    assert found.kinds(second, 1) == ()
    needle = torch.randperm(COUNT, generator=torch.Generator().manual_seed(3))[:8]
    read = model(torch.cat([needle, needle[:4]])[None])[0]
    assert read[-1].argmax() == needle[4], "the model that is found to copy does"


def test_the_table_names_the_parts_of_the_circuit():
    model, ids = Circuit(), torch.randint(COUNT, (1, 60), generator=torch.Generator().manual_seed(0))
    with regard.watch(model) as seen:
        model(ids)
    probes = [induction(model, length=20, **WITH_START), retrieval(model, lengths=(60,), **WITH_START)]
    table = heads(seen, tokens=ids, probes=probes)
    previous, even, inducing, duplicating = table
    assert previous.kind == "previous"
    assert even.kind == "broad"
    assert table.kinds(inducing)[:2] == ("induction", "retrieval")
    assert table.kinds(duplicating)[0] == "duplicate"
    assert table.of("induction") == (inducing,)


# Against the weights that models give out themselves.


def listening(model, texts, **inputs):
    """Return a call that writes down what the model was made to read."""

    def call(ids):
        texts.append(ids[0])
        return model(input_ids=ids, **inputs)

    return call


def eager_weights(model, ids):
    """Return each layer's weights (H, N, N) in float64."""
    with torch.no_grad():
        return [weights[0].double() for weights in model(input_ids=ids[None], output_attentions=True).attentions]


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_induction_is_that_of_the_models_own_weights(family):
    eager, fast = FAMILIES[family].pair()
    texts = []
    found = induction(fast, length=12, repeats=3, call=listening(fast, texts))
    for trial, ids in enumerate(texts):
        begin = len(ids) - 24
        for site, P in zip(found.measured["induction"], eager_weights(eager, ids), strict=True):
            second = range(begin + 12, begin + 24)
            after = torch.stack([P[:, i, i - 12 + 1] for i in second]).mean(0)
            itself = torch.stack([P[:, i, i - 12] for i in second]).mean(0)
            torch.testing.assert_close(found.measured["induction"][site][:, trial], after, atol=1e-5, rtol=0)
            torch.testing.assert_close(found.measured["duplicate"][site][:, trial], itself, atol=1e-5, rtol=0)
    assert found.causal == (family != "bert")
    assert ("later tokens too" in str(found)) == (family == "bert")


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_retrieval_is_that_of_the_models_own_weights(family):
    eager, fast = FAMILIES[family].pair()
    texts, needle, filler = [], [7, 9, 7, 8], [20, 21, 22, 7, 23]
    found = retrieval(
        fast,
        needle=needle,
        filler=filler,
        question=[30, 31],
        lengths=(20,),
        depths=(0.5,),
        repeats=3,
        start=[6],
        call=listening(fast, texts),
    )
    for trial, ids in enumerate(texts):
        hidden = range(1 + 8, 1 + 8 + 4)  # after the start and half of the filler
        assert ids[hidden.start : hidden.stop].tolist() == needle
        assert ids[-5:].tolist() == [30, 31, *needle[:-1]]
        for site, P in zip(found.measured["retrieval"], eager_weights(eager, ids), strict=True):
            for head in range(P.shape[0]):
                hits, weight = 0, 0.0
                for step, token in enumerate(needle):
                    row = P[head, len(ids) - 4 + step]
                    right = [i for i in hidden if ids[i] == token]
                    hits += int(row.argmax()) in right
                    weight += float(row[right].sum())
                assert float(found.measured["retrieval"][site][head, trial]) == hits / 4
                mean = float(found.measured["retrieval weight"][site][head, trial])
                assert mean == pytest.approx(weight / 4, abs=1e-5)


def test_what_is_read_is_random_repeated_and_free_of_special_tokens():
    model = FAMILIES["gpt2"].build("sdpa")
    texts = []
    induction(model, length=15, repeats=3, call=listening(model, texts))
    for ids in texts:
        assert ids[0] == model.config.bos_token_id
        assert torch.equal(ids[1:16], ids[16:])
        assert len(set(ids[1:16].tolist())) == 15
        assert not {0, 1} & set(ids[1:].tolist()), "tokens that start or end texts"
        assert max(ids) < WORDS
    assert not torch.equal(texts[0], texts[1])
    again = []
    induction(model, length=15, repeats=3, call=listening(model, again))
    assert all(map(torch.equal, texts, again))


def test_a_random_needle_is_asked_for_by_what_stood_before_it():
    model, texts = FAMILIES["gpt2"].build("sdpa"), []
    retrieval(
        model, lengths=(30,), depths=(0.0, 0.4, 1.0), repeats=1, needle_length=6, call=listening(model, texts)
    )
    for ids, cut in zip(texts, (0, 8, 20), strict=True):
        words = ids.tolist()
        hidden = words[1 + cut : 1 + cut + 10]
        assert words[31:] == hidden[:-1], "cue and needle once more, but for its last token"
        assert len(set(hidden)) == 10
        assert not set(hidden) & set(words[1 : 1 + cut] + words[11 + cut : 31])


def test_a_probe_leaves_model_and_random_numbers_as_they_were():
    model = FAMILIES["gpt2"].build("sdpa").train()
    model.wte.eval()
    before = [module.training for module in model.modules()]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = induction(model, length=8, repeats=2)
    retrieval(model, lengths=(20,), depths=(0.5,), needle_length=4)
    assert [module.training for module in model.modules()] == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    site = next(iter(first.measured["induction"]))
    assert torch.equal(  # no dropout at work
        first.measured["induction"][site],
        induction(model.eval(), length=8, repeats=2).measured["induction"][site],
    )


def test_attention_on_another_text_has_no_score():
    model = FAMILIES["t5"].build("sdpa")
    found = induction(
        model, length=10, repeats=2, call=lambda ids: model(input_ids=ids, decoder_input_ids=ids[:, :5])
    )
    assert all("encoder" in site for site in found.measured["induction"])
    assert all("decoder" in site for site in found.left_out)
    assert "left out: " in str(found)


def test_text_in_words_needs_a_tokenizer():
    model = FAMILIES["gpt2"].build("sdpa")
    with pytest.raises(InputError, match="needle: expected a tokenizer"):
        retrieval(model, needle="a needle")


def test_what_cannot_be_measured_is_refused():
    model = FAMILIES["gpt2"].build("sdpa")
    with pytest.raises(InputError, match="expected at least 20 different tokens"):
        induction(model, length=20, vocab=range(5, 20))
    with pytest.raises(InputError, match="expected at most 64 tokens"):
        induction(model, length=40)
    with pytest.raises(InputError, match="length of at least 2"):
        induction(model, length=1)
    with pytest.raises(InputError, match="haystacks to hold it"):
        retrieval(model, lengths=(10,))
    with pytest.raises(InputError, match="depths from 0 to 1"):
        retrieval(model, depths=(2.0,))
    with pytest.raises(InputError, match="vocab"):
        induction(Circuit())
    with pytest.raises(WatchError, match="self-attention call over the whole text"):
        induction(nn.Embedding(60, 4))


def test_a_probe_is_asked_by_score_site_and_head():
    found = induction(Circuit(), vocab=COUNT, length=10, repeats=2)
    site = next(iter(found.measured["induction"]))
    for asked in (("colour", site, 0), ("induction", "nowhere", 0), ("induction", site, 9)):
        with pytest.raises(UnknownSiteError, match="expected a score"):
            found.estimate(*asked)
    assert found.kinds("nowhere", 0) == ()
    lines = found.table(by="duplicate", count=1).splitlines()
    assert lines[0].split() == ["site", "head", "induction", "duplicate", "kind"]
    assert lines[1].split()[-1] == "duplicate"


@needs_demo
@pytest.mark.slow
def test_a_needle_in_words_is_hidden_in_words():
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder())
    model = AutoModel.from_pretrained(folder()).eval()
    texts = []
    found = retrieval(
        model,
        tokenizer=tokenizer,
        filler="Grass grows and rivers run.",
        needle="the key is under the old green chair",
        question="Where is it?",
        lengths=(64,),
        depths=(0.5,),
        repeats=1,
        call=listening(model, texts),
    )
    words = tokenizer.decode(texts[0])
    assert words.startswith("[CLS]")
    assert words.count("the key is under the old green") == 2
    assert "where is it? the key" in words
    assert not found.causal


# Intervals.


@pytest.mark.parametrize(
    ("count", "t"), [(2, 12.706), (3, 4.303), (5, 2.776), (6, 2.571), (11, 2.228), (31, 2.042)]
)
def test_the_interval_is_students(count, t):
    """The values of t are those of the usual tables."""
    values = [0.4 + 0.001 * (-1) ** i for i in range(count)]
    mean = sum(values) / count
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    found = Estimate.of(values)
    assert found.mean == pytest.approx(mean)
    assert (found.high - found.low) / 2 == pytest.approx(t * spread / math.sqrt(count), rel=1e-3)


def test_one_measurement_has_no_interval_and_none_leaves_its_range():
    assert str(Estimate.of([0.5])) == "0.50"
    wide = Estimate.of([0.0, 1.0])
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_the_python_of_the_docs_runs(capsys):
    page = Path(regard.__file__).parents[2] / "docs/heads.md"
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, "docs/heads.md", "exec"), {})
    assert "induction" in capsys.readouterr().out
