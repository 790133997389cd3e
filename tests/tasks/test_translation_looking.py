"""What translation shows: words read by words written, and alignments that are right where that is simple."""

import gzip

import pytest
import torch

from regard.errors import TaskError
from regard.tasks import Answer
from regard.tasks.alignments import Gold, alignment_error_rate, check_words, read_alignments
from regard.tasks.data.lines import LONGEST
from regard.tasks.translation.forced import between

from .translating import TASK, fresh, rows, tiny, train

KINDS = {
    "transformer": tiny(),
    "one layer": tiny(layers=1, order="post"),
    "searching": tiny(model="searching"),
    "input feeding": tiny(model="input_feeding"),
}


@pytest.fixture(scope="module")
def trained():
    """A model that knows the made-up language, with its tokenizers and settings."""
    settings = tiny(model="searching")
    model, parts = fresh(settings, rows(50))
    train(model, parts, settings, 100, rate=1e-2)
    return model, parts, settings


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_shows_words_by_words(kind, tmp_path):
    settings = KINDS[kind]
    model, parts = fresh(settings, rows(50))
    model.eval()
    row = {"source": "one two three"}
    report = TASK.look(model, row, Answer("zwei eins"), parts, settings)
    is_transformer = settings.model == "transformer"
    cross = report.groups[int(is_transformer)]
    assert cross.name == "cross-attention"
    for group in (cross, report.groups[0]):
        assert group.keys.words == ("one", "two", "three", "<end>")
        assert group.queries.words == ("zwei", "eins", "<end>")
        for head in group.heads:
            torch.testing.assert_close(head.weights.sum(1), torch.ones(3))
    assert [section.kind for section in report.sections][: 1 + is_transformer] == ["cross"] * (1 + is_transformer)
    assert any("zwei" in fact for fact in report.facts)
    names = [group.name for group in report.groups]
    own = ["self-attention", "decoder self-attention"]
    assert names == (["cross-attention, mean of heads", "cross-attention", *own] if is_transformer else names[:1])
    for path in ("seen.html", "seen.json", "seen.png"):
        assert report.save(tmp_path / path).stat().st_size > 1000


@pytest.mark.parametrize(("layers", "own"), [(1, 0), (2, 0), (3, 1)])
def test_it_opens_with_the_mean_of_the_heads_that_aligns(layers, own):
    settings = tiny(layers=layers, heads=4)
    model, parts = fresh(settings, rows(50))
    report = TASK.look(model.eval(), {"source": "one two three"}, Answer("zwei eins"), parts, settings)
    mean, cross = report.groups[:2]
    (head,) = mean.heads
    expected = torch.stack([each.weights for each in cross.layers[own]]).mean(0)
    torch.testing.assert_close(head.weights, expected)
    assert cross.shown.layer == head.layer == own
    assert head.title == f"layer {own}, mean of heads ({head.facts.kind})"
    assert report.view == "alignment"
    best = expected[:2, :3].argmax(1).tolist()
    pairs = [f"{('one', 'two', 'three')[key]}→{word}" for word, key in zip(("zwei", "eins"), best, strict=True)]
    (told,) = [fact for fact in report.facts if fact.startswith("aligned by")]
    assert told.endswith(": " + " ".join(pairs))
    assert f"mean of the heads in layer {own}, " in told
    assert ("the last but one of" in told) == (layers > 1)


def test_words_that_repeat_are_told_apart():
    settings = tiny(model="searching")
    model, parts = fresh(settings, rows(50))
    report = TASK.look(model.eval(), {"source": "one two one"}, Answer("zwei eins zwei"), parts, settings)
    told = report.facts[-1].removeprefix("aligned by the attention of the model: ").split()
    sources, targets = zip(*(pair.split("→") for pair in told), strict=True)
    assert targets == ("zwei(1)", "eins", "zwei(3)")
    assert set(sources) <= {"one(1)", "two", "one(3)"}


def test_a_title_is_the_beginning_of_the_source():
    settings = tiny()
    model, parts = fresh(settings, rows(50))
    line = " ".join(["one two three"] * 10)
    for source, title in (("one two", "one two"), (line, f"{line[:58].rstrip()} …"), ("", "translation")):
        report = TASK.look(model.eval(), {"source": source}, Answer("eins"), parts, settings)
        assert report.title == title


def test_an_answer_that_was_given_is_told_apart_from_one_that_was_written():
    settings = tiny()
    model, parts = fresh(settings, rows(50))
    for answer, said in (
        (Answer("eins"), "given, not written by the model: eins"),
        (Answer("", -1.0), "written: "),
        (Answer("eins", -1.0, tuple(parts.target.encode("eins"))), "written: eins"),
    ):
        assert said in TASK.look(model.eval(), {"source": "one"}, answer, parts, settings).facts


def test_pieces_are_joined_to_words():
    settings = tiny(tokenizer="characters")
    model, parts = fresh(settings, rows(50))
    model.eval()
    report = TASK.look(model, {"source": "six one"}, Answer("sechs eins"), parts, settings)
    cross = report.groups[0]
    assert cross.keys.words == ("six", "one", "<end>")
    assert cross.queries.words == ("sechs", "eins", "<end>")
    own = next(group for group in report.groups if group.name == "decoder self-attention")
    assert own.keys.words == ("<begin>", "sechs", "eins")


@pytest.mark.parametrize("text", ["", "eins"])
def test_short_texts_can_be_looked_at(text):
    settings = tiny()
    model, parts = fresh(settings, rows(50))
    report = TASK.look(model.eval(), {"source": ""}, Answer(text), parts, settings)
    assert report.groups[0].keys.words == ("<end>",)


def test_the_tokens_of_an_answer_are_looked_at():
    settings = tiny()
    model, parts = fresh(settings, rows(50))
    (answer,) = TASK.answer(model.eval(), [TASK.features({"source": "one"}, parts, settings)], parts, settings)
    report = TASK.look(model, {"source": "one"}, answer, parts, settings)
    assert len(report.groups[0].queries.groups) == len(answer.tokens) + 1
    assert any(f"{answer.log_probability:.2f}" in fact for fact in report.facts)


def test_a_learned_copy_is_aligned_word_by_word(trained):
    model, parts, settings = trained
    asked = rows(20, seed=77)
    found = TASK.align(model, asked, parts, settings)
    gold = [Gold(*[frozenset((n, n) for n in range(len(row["source"].split())))] * 2) for row in asked]
    assert alignment_error_rate(found, gold) < 10


def test_an_alignment_does_not_depend_on_its_batch(trained):
    model, parts, settings = trained
    asked = [*rows(5, seed=78), {"source": "", "target": "eins"}, {"source": "one", "target": ""}]
    together = TASK.align(model, asked, parts, settings)
    assert together == [TASK.align(model, [row], parts, settings)[0] for row in asked]
    assert together[-2:] == [frozenset(), frozenset()]
    assert TASK.align(model, [], parts, settings) == []


def test_weights_that_no_report_knows_are_told():
    settings = tiny(source_attention="linear")
    model, parts = fresh(settings, rows(50))
    with pytest.raises(TaskError, match=r"attention to the source has weights to look into; .*linear attention"):
        TASK.look(model.eval(), {"source": "one"}, Answer("eins"), parts, settings)


def test_weights_between_words_are_means_of_sums():
    weights = torch.tensor([[0.1, 0.2, 0.7, 0.0], [0.3, 0.3, 0.4, 0.0], [0.0, 0.5, 0.5, 0.0]])
    found = between(weights, [0, 0, 1], [0, 0, 1])
    torch.testing.assert_close(found, torch.tensor([[0.45, 0.55], [0.5, 0.5]]))


def test_the_error_rate_is_the_formula():
    gold = [Gold(frozenset({(0, 0)}), frozenset({(0, 0), (1, 1)})), Gold(frozenset({(2, 1)}), frozenset({(2, 1)}))]
    found = [frozenset({(0, 0), (1, 1)}), frozenset({(0, 1)})]
    # found and sure: 1, found and possible: 2; found: 3, sure: 2
    assert alignment_error_rate(found, gold) == pytest.approx(100 * (1 - 3 / 5))
    assert alignment_error_rate([g.sure for g in gold], gold) == 0
    assert alignment_error_rate([], []) == 0
    with pytest.raises(TaskError, match="expected an alignment for each of 2 pairs of lines; got 1"):
        alignment_error_rate(found, gold[:1])


def test_links_to_words_that_are_not_there_are_refused(tmp_path):
    path = tmp_path / "gold"
    path.write_text("0-0\n0-0 2p1\n")
    gold = read_alignments(path)
    check_words(gold, [(1, 1), (3, 2)], path)
    for words in ([(1, 1), (2, 2)], [(1, 1), (3, 1)]):
        with pytest.raises(TaskError, match=r"gold, line 2: .* from word 2 to 1, counted from 0.*--words-from"):
            check_words(gold, words, path)


def test_links_are_read(tmp_path):
    path = tmp_path / "gold"
    path.write_text("1-1 2p3\n\n3-2\n")
    first, empty, last = read_alignments(path, first=1)
    assert first == Gold(frozenset({(0, 0)}), frozenset({(0, 0), (1, 2)}))
    assert empty == Gold(frozenset(), frozenset())
    assert last.sure == {(2, 1)}
    for text, place in (("1-1\n1:2\n", "line 2"), ("0-0", "line 1"), ("1-1 -1-2", "line 1")):
        path.write_text(text)
        with pytest.raises(TaskError, match=place):
            read_alignments(path, first=1)
    with pytest.raises(TaskError, match=r"cannot read .*none: No such file"):
        read_alignments(tmp_path / "none")


def test_links_are_read_from_packed_files_or_their_damage_is_told(tmp_path):
    plain, whole, damaged = (tmp_path / name for name in ("gold", "gold.gz", "damaged.gz"))
    plain.write_bytes("\ufeff0-0 1p1\r\n2-2\n".encode())
    packed = gzip.compress(plain.read_bytes())
    whole.write_bytes(packed)
    assert read_alignments(plain) == read_alignments(whole)
    for broken in (packed[:-9], packed[:10] + bytes(255 ^ each for each in packed[10:])):
        damaged.write_bytes(broken)
        with pytest.raises(TaskError, match=r"damaged\.gz is damaged or ends early"):
            read_alignments(damaged)
    for text in (b"0-0 \xff", b"0-0 " * (LONGEST // 4 + 1)):
        plain.write_bytes(text)
        with pytest.raises(TaskError, match="line 1: expected links"):
            read_alignments(plain)
