"""Corpora: every format gives its documents in order, and tells what cannot be read, line by line."""

import gzip
import json

import pytest

from regard.errors import InputError
from regard.watch.survey import formats
from regard.watch.survey.corpus import open_corpus

TEXTS = ["one two", "Grüße 日本語 🐈", "a,\tb"]


def read(*arguments, **options):
    return [entry.text for entry in open_corpus(*arguments, **options)]


def problems(*arguments, **options):
    return [(entry.place, entry.problem) for entry in open_corpus(*arguments, **options) if entry.text is None]


def lines(path, *raw):
    path.write_bytes(b"\n".join(each if isinstance(each, bytes) else each.encode() for each in raw))
    return path


def records(path, *content):
    return lines(path, *(json.dumps(each) for each in content))


def test_lines_are_documents_and_blank_ones_are_passed_over(tmp_path):
    path = lines(tmp_path / "a.txt", "\ufeffone two", "", "Grüße 日本語 🐈\r", "   ", "a,\tb")
    entries = list(open_corpus(path))
    assert [entry.text for entry in entries if entry.text] == TEXTS
    assert [(entry.number, entry.place) for entry in entries if entry.text] == [
        (0, "a.txt, line 1"), (2, "a.txt, line 3"), (4, "a.txt, line 5"),
    ]  # fmt: skip
    assert [entry.problem for entry in entries] == [""] * 5
    assert entries[-1].done == 1.0
    assert sorted(entry.done for entry in entries) == [entry.done for entry in entries]


def test_a_file_may_be_one_document(tmp_path):
    lines(tmp_path / "b.txt", "second\n\nof two lines")
    lines(tmp_path / "a.txt", "first")
    lines(tmp_path / "c.txt", "")
    assert read(tmp_path, whole=True) == ["first", "second\n\nof two lines", None]


def test_folders_and_globs_are_read_in_the_order_of_their_names(tmp_path):
    (tmp_path / "b").mkdir()
    lines(tmp_path / "b" / "x.txt", "3")
    lines(tmp_path / "a.txt", "1", "2")
    lines(tmp_path / "c.md", "no")
    records(tmp_path / "c.jsonl", {"text": "4"})
    assert read(tmp_path) == ["1", "2", "3", "4"]
    assert read(str(tmp_path / "*.txt")) == ["1", "2"]
    assert [entry.number for entry in open_corpus(tmp_path)] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_packed_files_are_unpacked_as_they_are_read(tmp_path, name):
    content = TEXTS if name == "a.txt" else [json.dumps({"text": text}) for text in TEXTS]
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress("\n".join(content).encode()))
    assert read(tmp_path / f"{name}.gz") == TEXTS


def test_a_packed_file_that_breaks_off_says_so(tmp_path):
    whole = gzip.compress(b"one\n" * 10000)
    (tmp_path / "a.txt.gz").write_bytes(whole[:-12])
    assert "cannot be read, nor what follows" in problems(tmp_path / "a.txt.gz")[-1][1]
    (tmp_path / "b.txt.gz").write_bytes(b"not packed")
    assert len(problems(tmp_path / "b.txt.gz", whole=True)) == 1


def test_bad_lines_are_told_and_the_others_read(tmp_path):
    path = lines(tmp_path / "a.txt", "good", "Köln".encode("latin-1"), "a\0b", "good too")
    assert read(path) == ["good", None, None, "good too"]
    assert problems(path) == [
        ("a.txt, line 2", "is not in UTF-8 (byte 2)"),
        ("a.txt, line 3", "holds binary data"),
    ]


def test_bad_json_lines_are_told(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", '{"text": "good"}', "{", "[1]", '{"other": 1}', '{"text": 3}', '{"text": " "}',
        '{"text": "\\ud800"}', b'{"text": "\xff"}', "", "[" * 100_000,
    )  # fmt: skip
    assert [problem for _, problem in problems(path)] == [
        "is no JSON", "is no JSON object", "has no field 'text'", "field 'text' is no text",
        "field 'text' is empty", "holds half of a surrogate pair", "is not in UTF-8 (byte 11)", "", "is no JSON",
    ]  # fmt: skip


def test_another_field_may_hold_the_text_and_one_the_decoders(tmp_path):
    path = records(tmp_path / "a.jsonl", {"en": "cat", "de": "Katze"}, {"en": "dog"})
    assert read(path, field="en") == ["cat", "dog"]
    entries = list(open_corpus(path, field="en", target_field="de"))
    assert [(entry.text, entry.target) for entry in entries] == [("cat", "Katze"), (None, None)]
    assert entries[1].problem == "has no field 'de'"


def test_a_line_without_end_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "LONGEST", 10)
    path = lines(tmp_path / "a.txt", "short", "x" * 35, "123456789", "after")
    assert read(path) == ["short", None, "123456789", "after"]
    assert problems(path) == [("a.txt, line 2", "is longer than 10 bytes")]
    assert read(path, whole=True) == [None]


def test_parquet_is_read_row_by_row(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    rows = [*TEXTS, None, ""] * 120
    parquet.write_table(pa.table({"body": rows, "other": range(600)}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", field="body") == [row or None for row in rows]
    assert problems(tmp_path / "a.parquet", field="body")[0] == ("a.parquet, row 4", "field 'body' is no text")
    with pytest.raises(InputError, match=r"expected a field 'text'; it has body, other"):
        open_corpus(tmp_path / "a.parquet")
    lines(tmp_path / "b.parquet", "no")
    with pytest.raises(InputError, match="no Parquet file"):
        open_corpus(tmp_path / "b.parquet")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_saved_data_sets_are_read(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    data = datasets.Dataset.from_dict({"text": TEXTS})
    data.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": data, "test": data.select([1])}).save_to_disk(str(tmp_path / "two"))
    assert read(tmp_path / "one") == TEXTS
    assert read(tmp_path / "two", split="test") == TEXTS[1:2]
    for options, said in [({}, "--split: expected one of train, test"), ({"split": "x"}, "got x")]:
        with pytest.raises(InputError, match=said):
            open_corpus(tmp_path / "two", **options)
    with pytest.raises(InputError, match="expected a field 'body'"):
        open_corpus(tmp_path / "one", field="body")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("missing.txt", {}, "neither a file nor a folder nor a glob"),
        ("empty", {}, "holds no file that ends in"),
        ("a.md", {}, "expected a corpus that ends in"),
        ("a.txt", {"split": "train"}, "--split"),
        ("a.txt", {"target_field": "de"}, "decoder's text"),
    ],
)
def test_a_corpus_that_cannot_be_opened_is_refused(tmp_path, name, options, said):
    (tmp_path / "empty").mkdir()
    for each in ("a.md", "a.txt"):
        lines(tmp_path / each, "text")
    with pytest.raises(InputError, match=said):
        open_corpus(tmp_path / name, **options)


def test_texts_in_memory_are_a_corpus():
    assert read(TEXTS) == TEXTS
    assert problems(["a", " "]) == [("text 2", "empty")]
    with pytest.raises(InputError, match="number 1 is int"):
        open_corpus(["a", 1])


def test_other_documents_have_another_fingerprint(tmp_path):
    path = lines(tmp_path / "a.txt", "one")
    prints = [open_corpus(path).fingerprint]
    prints.append(open_corpus(lines(path, "two")).fingerprint)
    prints.append(open_corpus(lines(path, "two", "")).fingerprint)
    prints.append(open_corpus(["one"]).fingerprint)
    prints.append(open_corpus(["two"]).fingerprint)
    assert len(set(prints)) == 5
    assert open_corpus(path).fingerprint == prints[2]
