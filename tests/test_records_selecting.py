"""The laws of narrowing: a part of a record says of its heads and queries what the whole says of them."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import regard
from regard import watch
from regard.engines.statistics import STATISTICS
from regard.errors import NotKeptError, RecordError, UnknownSiteError
from regard.watch.head_kinds import head_kinds
from tests import dense, models, records
from tests.records import HEADS, HOW, KEYS, QUERIES


def says_of(part: Any, whole: Any, heads: list[int], queries: list[int]) -> None:
    """Expect a site to say what the whole says of chosen heads and queries."""
    P = whole.weights()[:, heads][:, :, queries]
    assert torch.equal(part.entropy, whole.entropy[:, heads][:, :, queries])
    assert torch.equal(part.distance.mean.nan_to_num(9), whole.distance.mean[:, heads][:, :, queries].nan_to_num(9))
    assert torch.equal(part.first, whole.first[:, heads][:, :, queries])
    assert torch.equal(part.mass("some"), whole.mass("some")[:, heads][:, :, queries])
    dense.close(part.weights(), P)
    dense.close(part.received, dense.received(P))
    dense.close(part.received_max, dense.received_max(P))
    dense.close(part.map(3).max, dense.pooled(P, 3)[1])
    dense.top_equal(part, P)
    assert torch.equal(part.visible(), whole.visible()[:, heads][:, :, queries])
    assert torch.equal(part.gradient, whole.gradient[:, heads][:, :, queries])
    group = whole.sizes.group
    assert torch.equal(
        part.values.repeat_interleave(part.sizes.group, 1), whole.values.repeat_interleave(group, 1)[:, heads]
    )


@pytest.mark.parametrize("name", sorted(HOW))
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_a_part_says_what_the_whole_says_of_it(name: str, data: st.DataObject) -> None:
    heads = data.draw(st.lists(st.integers(0, HEADS - 1), min_size=1, max_size=HEADS, unique=True))
    queries = data.draw(st.lists(st.integers(0, QUERIES - 1), min_size=1, max_size=QUERIES, unique=True))
    seen = records.seen(name)
    says_of(seen.select(heads=heads, queries=queries)[""], seen[""], heads, queries)
    says_of(seen.select(heads=heads)[""], seen[""], heads, list(range(QUERIES)))
    says_of(seen.select(queries=queries)[""], seen[""], list(range(HEADS)), queries)
    twice = seen.select(heads=heads).select(queries=queries).select(heads=[-1])
    says_of(twice[""], seen[""], heads[-1:], queries)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (2, [2]),
        (-1, [3]),
        (slice(1, 3), [1, 2]),
        (slice(None, None, -2), [3, 1]),
        (range(2), [0, 1]),
        ([3, -4], [3, 0]),
        ({1}, [1]),
        (torch.tensor([0, 2]), [0, 2]),
        (torch.tensor(2), [2]),
    ],
    ids=str,
)
def test_numbers_may_be_said_in_any_way(asked: Any, expected: list[int]) -> None:
    seen = records.seen("plain")
    assert torch.equal(seen.select(heads=asked)[""].entropy, seen[""].entropy[:, expected])


@pytest.mark.parametrize("asked", [HEADS, -HEADS - 1, [0, 9], "first", 1.5, None.__class__], ids=str)
def test_numbers_that_there_are_not_are_refused(asked: Any) -> None:
    with pytest.raises(RecordError, match="heads: expected"):
        records.seen("plain").select(heads=asked)


def test_places_and_distances_stay_those_of_the_whole() -> None:
    seen = records.seen("causal")
    whole = seen[""]
    for queries in ([2, 3, 4], [5, 1], [0]):
        part = seen.select(queries=queries)[""]
        for offset in (-2, 0, 1):
            keys = [(row, q + whole.start + offset) for row, q in enumerate(queries)]
            inside = [(row, key) for row, key in keys if 0 <= key < KEYS]
            P = part.weights()
            wanted = torch.stack([P[:, :, row, key] for row, key in inside], -1) if inside else P[..., :0, 0]
            dense.close(part.diagonal(offset), wanted)


@torch.no_grad()
def test_layers_kinds_and_paths_choose_sites() -> None:
    family = models.FAMILIES["bart"]
    model = family.build("sdpa")
    with watch(model) as seen:
        model(**family.inputs())
    paths = [site.path for site in seen]

    def chosen(**how: Any) -> list[str]:
        return [site.path for site in seen.select(**how)]

    assert chosen(layers=1) == [path for path in paths if ".1." in path]
    assert chosen(layers=-1, kind="self") == ["encoder.layers.1.self_attn", "decoder.layers.1.self_attn"]
    assert chosen(kind="cross") == [path for path in paths if "encoder_attn" in path]
    assert chosen(paths="encoder.*") == [path for path in paths if path.startswith("encoder")]
    assert chosen(paths=["decoder.layers.0.encoder_attn"], layers=[0]) == ["decoder.layers.0.encoder_attn"]
    assert chosen() == paths


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"kind": "cross"}, "expected one of the kinds seen \\('self'\\); got 'cross'"),
        ({"paths": "decoder.*"}, "expected paths of sites that were seen"),
        ({"paths": ["encoder.*", "nowhere"]}, "got 'nowhere'"),
    ],
    ids=str,
)
@torch.no_grad()
def test_sites_that_there_are_not_are_refused_with_those_that_are(how: dict[str, Any], message: str) -> None:
    model = models.FAMILIES["bert"].build("sdpa")
    with watch(model) as seen:
        model(models.tokens(1))
    with pytest.raises(UnknownSiteError, match=message):
        seen.select(**how)
    with pytest.raises(RecordError, match="layers: expected numbers from 0 to 1"):
        seen.select(layers=2)


def test_statistics_of_keys_cannot_be_cut_without_rows() -> None:
    part = records.seen("plain", want=STATISTICS).select(queries=[1, 2])[""]
    assert part.entropy.shape[-1] == 2
    with pytest.raises(NotKeptError, match="queries were chosen"):
        _ = part.received
    with pytest.raises(NotKeptError, match="queries were chosen"):
        part.map()


def test_statistics_that_were_not_asked_for_stay_away() -> None:
    part = records.seen("plain", want=("received", "rows")).select(queries=[1, 2])[""]
    dense.close(part.received, dense.received(part.weights()))
    with pytest.raises(NotKeptError, match="received_max"):
        _ = part.received_max


@torch.no_grad()
def test_heads_of_a_part_are_judged_as_in_the_whole() -> None:
    model = models.FAMILIES["llama"].build("sdpa")
    with watch(model) as seen:
        model(models.tokens(1))
    whole = [head_kinds(site) for site in seen]
    part = [head_kinds(site) for site in seen.select(heads=[2, 1])]
    for one, other in zip(part, whole, strict=True):
        assert [head.kind for head in one] == [other[2].kind, other[1].kind]


# Words.


TOKENS = ["[CLS]", "the", "ani", "##mal", "did", "the", "[SEP]"]


def test_words_of_tokens_are_put_together() -> None:
    axis = regard.words(TOKENS)
    assert axis.words == ("[CLS]", "the", "animal", "did", "the", "[SEP]")
    assert axis.groups == (0, 1, 2, 2, 3, 4, 5)
    assert axis.special == (True, False, False, False, False, True)
    assert axis.separators == (6,)
    assert axis.positions("animal") == [2, 3]
    assert axis.positions("the") == [1, 5]
    with pytest.raises(RecordError, match=r"expected one of the words .*'animal'.*; got 'dog'"):
        axis.positions("dog")


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["The", "Ġani", "mal", "Ġdid", "."], ("The", "animal", "did.")),
        (["▁The", "▁ani", "mal", "</s>"], ("The", "animal", "</s>")),
        (["The", "cat", ","], ("The", "cat", ",")),
        (["<s>", "▁", "a"], ("<s>", "▁a")),
        ([], ()),
    ],
)
def test_marks_of_the_usual_tokenizers_are_known(tokens: list[str], expected: tuple[str, ...]) -> None:
    assert regard.words(tokens).words == expected


@pytest.mark.parametrize("tokens", ["a text", 3, [1, 2], {"input_ids": [1]}], ids=str)
def test_what_has_no_words_is_refused(tokens: Any) -> None:
    with pytest.raises(RecordError, match="words: expected"):
        regard.words(tokens)


def test_words_of_an_encoding_are_those_of_the_text() -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(models.minilm_folder())
    texts = ["Über unbelievable animals.", "Short"]
    encoding = tokenizer(texts, padding=True)
    axis = regard.words(encoding, texts[0])
    assert axis.words[:4] == ("[CLS]", "Über", "unbelievable", "animals")
    assert len(axis.groups) == len(encoding["input_ids"][0])
    assert regard.words(encoding).words[1] == "uber"
    second = regard.words(encoding, texts[1], item=1)
    assert second.words[:3] == ("[CLS]", "Short", "[SEP]")
    assert second.special[3:] == (True,) * (len(second.words) - 3)
    with pytest.raises(RecordError, match="item 2"):
        regard.words(encoding, item=2)


@torch.no_grad()
def test_queries_may_be_chosen_by_word() -> None:
    model = models.FAMILIES["bert"].build("sdpa")
    with watch(model) as seen:
        model(models.tokens(1, len(TOKENS)))
    part = seen.select(queries="animal", words=TOKENS, layers=0)
    assert torch.equal(part.sites[0].entropy, seen.sites[0].entropy[:, :, [2, 3]])
    both = seen.select(queries=["animal", "did"], words=regard.words(TOKENS))
    assert both.sites[1].sizes.queries == 3
    with pytest.raises(RecordError, match="words=encoding"):
        seen.select(queries="animal")
    with pytest.raises(RecordError, match="expected a token for each of 7 queries"):
        seen.select(queries="animal", words=TOKENS[:5])


def test_a_record_is_not_changed_by_narrowing_it() -> None:
    seen = records.seen("bias")
    before: Tensor = seen[""].weights()
    seen.select(heads=[1], queries=[2])
    assert torch.equal(seen[""].weights(), before)
    assert seen[""].sizes.heads == HEADS


@torch.no_grad()
def test_a_report_takes_words() -> None:
    model = models.FAMILIES["bert"].build("sdpa")
    with watch(model) as seen:
        model(models.tokens(1, len(TOKENS)))
    (group,) = regard.report(seen, tokens=regard.words(TOKENS)).groups
    assert group.keys.words == ("[CLS]", "the", "animal", "did", "the", "[SEP]")
    groups = [0, 1, 2, 2, 3, 4, 5]
    dense.close(group.layers[1][3].weights, dense.joined(seen.sites[1].weights(), groups, groups)[0, 3])
