"""Files become tables: every format holds the same rows, and whatever is wrong is told where it stands."""

import gzip
import json
import subprocess
import sys

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from regard.errors import TaskError
from regard.tasks.data.read import check_apart, read, texts

from ..memory import on_linux

ROWS = [("Ein Hund.", "A dog."), ("Zwei\u2028 Hunde", "two “dogs”"), ("日本", "\N{GRINNING FACE}, ok")]
COLUMNS = ("de", "en")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def opened(tmp_path, cache):
    """Read files in the test's folder, by name."""

    def reads(*names, columns=COLUMNS, **options):
        return read([tmp_path / name for name in names], columns, cache=cache, **options)

    return reads


def pairs(table, columns=COLUMNS):
    return [tuple(row[column] for column in columns) for row in table.rows]


def put(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(rows, separator="\t", end="\n"):
    return end.join(separator.join(row) for row in rows) + end


def quoted(row):
    return ",".join('"' + field.replace('"', '""') + '"' for field in row)


def tsv(folder):
    put(folder / "a.tsv", lines([COLUMNS, *ROWS]))
    return ["a.tsv"]


def other_order(folder):
    put(folder / "a.tsv", lines([("en", "note", "DE"), *((en, "x", de) for de, en in ROWS)]))
    return ["a.tsv"]


def windows(folder):
    put(folder / "a.tsv", b"\xef\xbb\xbf" + lines([COLUMNS, *ROWS], end="\r\n").encode())
    return ["a.tsv"]


def no_last_end(folder):
    put(folder / "a.tsv", lines([COLUMNS, *ROWS]).rstrip("\n"))
    return ["a.tsv"]


def unnamed(folder):
    put(folder / "a.tsv", lines(ROWS))
    return ["a.tsv"]


def packed(folder):
    put(folder / "a.tsv.gz", gzip.compress(lines([COLUMNS, *ROWS]).encode()))
    return ["a.tsv.gz"]


def csv(folder):
    put(folder / "a.csv", lines([COLUMNS]).replace("\t", ",") + "\n".join(map(quoted, ROWS)))
    return ["a.csv"]


def json_lines(folder):
    objects = [json.dumps({"en": en, "other": 1, "de": de}) for de, en in ROWS]
    put(folder / "a.jsonl", "\n".join(objects) + "\n\n")
    return ["a.jsonl"]


def nested(folder):
    objects = [json.dumps({"translation": {"de": de, "en": en}}) for de, en in ROWS]
    put(folder / "a.jsonl.gz", gzip.compress("\n".join(objects).encode()))
    return ["a.jsonl.gz"]


def parquet(folder):
    table = pyarrow.table({"id": [1, 2, 3], "en": [en for _, en in ROWS], "de": [de for de, _ in ROWS]})
    pyarrow.parquet.write_table(table, folder / "a.parquet")
    return ["a.parquet"]


def nested_parquet(folder):
    table = pyarrow.table({"translation": [{"de": de, "en": en} for de, en in ROWS]})
    pyarrow.parquet.write_table(table, folder / "a.parquet")
    return ["a.parquet"]


def saved(folder):
    datasets.Dataset.from_list([{"de": de, "en": en} for de, en in ROWS]).save_to_disk(folder / "a")
    return ["a"]


def saved_dictionary(folder):
    data = datasets.Dataset.from_list([{"translation": {"de": de, "en": en}} for de, en in ROWS])
    datasets.DatasetDict({"train": data}).save_to_disk(folder / "a")
    return ["a"]


def two_files(folder):
    for column, side in zip(COLUMNS, zip(*ROWS, strict=True), strict=True):
        put(folder / f"train.{column}", "\n".join(side) + "\n")
    return ["train.en", "train.de"]


def two_packed(folder):
    for column, side in zip(COLUMNS, zip(*ROWS, strict=True), strict=True):
        put(folder / f"train.{column}.gz", gzip.compress("\r\n".join(side).encode()))
    return ["train.de.gz", "train.en.gz"]


def folder_of_two(folder):
    (folder / "pairs").mkdir()
    two_files(folder / "pairs")
    put(folder / "pairs" / ".hidden", "x")
    return ["pairs"]


def beginning(folder):
    two_files(folder)
    put(folder / "train.fr", "x\n")
    put(folder / "valid.en", "x\n")
    return ["train"]


def by_order(folder):
    put(folder / "left.txt", "\n".join(de for de, _ in ROWS))
    put(folder / "right.txt", "\n".join(en for _, en in ROWS) + "\n\n")  # a blank line more does no harm
    return ["left.txt", "right.txt"]


def two_tables(folder):
    put(folder / "a.tsv", lines([COLUMNS, *ROWS[:1]]))
    put(folder / "b.tsv", lines([COLUMNS, *ROWS[1:]]))
    return ["a.tsv", "b.tsv"]


WAYS = [tsv, other_order, windows, no_last_end, unnamed, packed, csv, json_lines, nested, parquet, nested_parquet]
WAYS += [saved, saved_dictionary, two_files, two_packed, folder_of_two, beginning, by_order, two_tables]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_format_holds_the_same_rows(way, tmp_path, opened):
    names = way(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    table = opened(*names, strict=True)
    assert pairs(table) == ROWS
    assert table.faults.total == 0
    assert not table.faults.told()
    left = [path for path in tmp_path.rglob("*") if "cache" not in path.parts[len(tmp_path.parts)]]
    assert sorted(left) == before, "nothing is left beside the user's files"
    again = opened(*names)
    assert pairs(again) == ROWS
    assert again.digest == table.digest


def test_columns_that_are_guessed_are_said(tmp_path, opened):
    assert "left.txt is de" in opened(*by_order(tmp_path)).said
    first = " | ".join(map(repr, ROWS[0]))
    assert f"no line of names (the first, {first}, is a row)" in opened(*unnamed(tmp_path)).said
    assert "train.en is en" in opened(*two_files(tmp_path)).said


def test_a_column_that_is_named_twice_is_refused(tmp_path, opened):
    put(tmp_path / "a.tsv", "de\ten\tDE\nx\ty\tz\n")
    with pytest.raises(TaskError, match="expected one column 'de'"):
        opened("a.tsv")


def test_one_column_of_one_file_of_text(tmp_path, opened):
    put(tmp_path / "a.txt", "one\ntwo\n")
    assert pairs(opened("a.txt", columns=("text",)), ("text",)) == [("one",), ("two",)]


def test_white_space_around_a_text_is_taken_off(tmp_path, opened):
    put(tmp_path / "a.tsv", lines([COLUMNS, (" a b ", "\u3000c")]))
    assert pairs(opened("a.tsv")) == [("a b", "c")]


BAD = [
    ("a.tsv", b"de\ten\nx\ty\nx\ty\tz\nx\n", "too many or too few fields", ["line 3", "line 4"]),
    ("a.tsv", b"\n\nde\ten\n\nx\ty\n \ty\n", "an empty column", ["line 6"]),
    ("a.tsv", b"de\ten\nx\ty\nx\t\xff\n", "bytes that are no UTF-8", ["line 3"]),
    ("a.tsv", b"de\ten\nx\ty\nx\ta\0b\n", "binary data", ["line 3"]),
    ("a.tsv", b"de\ten\nx\ty\nx\t" + b"y" * 51 + b"\n", "more than 50 characters", ["line 3"]),
    ("a.csv", b'de,en\nx,y\n"x,y\n', "quotes that do not match", ["line 3"]),
    ("a.csv", b'de,en\n"x\nx",y\nx,\xff\n', "bytes that are no UTF-8", ["line 4"]),
    ("a.csv", b"de,en\nx,y\nx,y,z\n", "too many or too few fields", ["line 3"]),
    ("a.jsonl", b'{"de": "x", "en": "y"}\n[1]\nnope\n\n{"de"\n', "no JSON object", ["line 2", "line 3", "line 5"]),
    ("a.jsonl", b'{"de": "x", "en": "y"}\n{"de": "x"}\n', "a missing column", ["line 2"]),
    ("a.jsonl", b'{"de": "x", "en": "y"}\n{"de": "x", "en": 3}\n', "a value that is no text", ["line 2"]),
    ("a.jsonl", b'{"de": "x", "en": "y"}\n{"de": "x", "en": null}\n', "an empty column", ["line 2"]),
    ("a.jsonl", b'{"de": "x", "en": "y"}\n{"de": "x", "en": "\\ud800"}\n', "binary data", ["line 2"]),
    ("a.jsonl", b'{"de": "x", "en": "y"}\n{"de": "x", "en": "\xff"}\n', "bytes that are no UTF-8", ["line 2"]),
    ("a.jsonl", b'{"de": "x", "en": "y"}\n' + b"[" * 100_000 + b"\n", "no JSON object", ["line 2"]),
]


@pytest.mark.parametrize(("name", "content", "kind", "places"), BAD, ids=lambda part: str(part)[:24])
def test_bad_rows_are_counted_with_their_places_or_refused(name, content, kind, places, tmp_path, opened):
    put(tmp_path / name, content)
    table = opened(name, max_length=50)
    assert len(table) == 1
    assert dict(table.faults.counts) == {kind: len(places)}
    assert table.faults.rows == 1 + len(places)
    assert table.faults.places[kind] == tuple(f"{name}, {place}" for place in places)
    told = table.faults.told()
    assert kind in told
    assert places[0] in told
    for _ in range(2):
        with pytest.raises(TaskError, match=f"{name}, {places[0]}: {kind}"):
            opened(name, max_length=50, strict=True)
    opened(name, max_length=50)


def test_strict_refuses_before_anything_is_kept(tmp_path, cache, opened):
    put(tmp_path / "a.tsv", "de\ten\nx\n")
    with pytest.raises(TaskError, match="line 2"):
        opened("a.tsv", strict=True)
    assert list(cache.iterdir()) == []


def test_a_bad_side_of_parallel_files_leaves_out_the_row_alone(tmp_path, opened):
    put(tmp_path / "a.de", b"x\n\xff\nz\n\nu\n")
    put(tmp_path / "a.en", b"1\n2\n3\n4\n5\n")
    table = opened("a")
    assert pairs(table) == [("x", "1"), ("z", "3"), ("u", "5")]
    assert table.faults.places == {
        "bytes that are no UTF-8 in a.de": ("a.de and a.en, line 2",),
        "an empty column": ("a.de and a.en, line 4",),
    }


def test_a_file_in_another_encoding_is_told_with_the_way_out(tmp_path, opened):
    for name, lines in (("a.de", ["schön", "grün", "rot"]), ("a.en", ["nice", "green", "red"])):
        put(tmp_path / name, "\n".join([*lines, ""]).encode("latin-1"))
    told = opened("a").faults.told()
    assert "2 with bytes that are no UTF-8 in a.de: a.de and a.en, line 1; a.de and a.en, line 2" in told
    assert "iconv" in told


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a"])
def test_a_line_too_long_to_be_read_costs_one_row(name, tmp_path, opened, monkeypatch):
    monkeypatch.setattr("regard.tasks.data.lines.LONGEST", 50)
    rows = [("x", "y"), ("x" * 120, "y"), ("z", "u"), ("z" * 49, "v")]
    if name == "a":
        for column, side in zip(COLUMNS, zip(*rows, strict=True), strict=True):
            put(tmp_path / f"a.{column}", "\n".join(side))
    elif name == "a.jsonl":
        put(tmp_path / name, "\n".join(json.dumps({"de": de, "en": en}) for de, en in rows[:3]))
    else:
        put(tmp_path / name, lines([COLUMNS, *rows[:3]], "," if name == "a.csv" else "\t"))
    table = opened(name)
    assert pairs(table) == [("x", "y"), ("z", "u"), ("z" * 49, "v")][: len(table)]
    assert len(table) == (3 if name == "a" else 2)
    assert table.faults.total == 1


def put_pairs(folder, *names):
    for name, side in zip(names, zip(*ROWS, strict=True), strict=True):
        put(folder / name, "\n".join(side))


@pytest.mark.parametrize(
    ("learned", "others"),
    [
        (("t.de", "t.en"), ("v.de", "v.en")),
        (("t.DE", "t.en"), ("v.low.de.txt", "v.low.en.txt")),
        (("europarl.de-en.de", "europarl.de-en.en"), ("test_2016.de", "test_2016.en")),
        (("t.de.txt", "t.en.gz"), ("v.de", "v.en")),
        (("news-src.de", "news-ref.en"), ("other-src.de", "other-ref.en")),
        (("b.txt", "a.txt"), ("deep.b", "deep.a")),
        (("t.en.v1", "t.de.v2"), ("v.en.v3", "v.de.v3")),
        (("t.en.v1", "t.de.v2"), ("v.en.txt", "v.de.v2")),
        (("t.en.tok", "t.de"), ("v.en", "v.de")),
        (("t.en.tok", "t.de"), ("v.en.tok", "v.de.tok")),
        (("one.en", "two.de"), ("one.v.en", "one.v.de")),
    ],
)
def test_files_whose_names_say_as_before_are_taken_as_before_in_any_order(learned, others, tmp_path, opened):
    columns = "source", "target"
    put_pairs(tmp_path, *(name.removesuffix(".gz") for name in learned))
    for name in learned:
        if name.endswith(".gz"):
            put(tmp_path / name, gzip.compress((tmp_path / name.removesuffix(".gz")).read_bytes()))
    put_pairs(tmp_path, *others)
    table = opened(*learned, columns=columns)
    assert pairs(table, columns) == ROWS
    assert table.said == f"{learned[0]} is source, {learned[1]} is target"
    for names, note in ((others, ""), (others[::-1], ", by their names, as in training")):
        again = opened(*names, columns=columns, named=table.named)
        assert pairs(again, columns) == ROWS
        assert again.said == f"{others[0]} is source, {others[1]} is target{note}"


def test_names_that_say_nothing_leave_files_in_their_order(tmp_path, opened):
    columns = "source", "target"
    for names in (("t.de", "t.en"), ("x.1", "x.2"), ("one/t", "two/t")):
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
        put_pairs(tmp_path, *names)
    named = opened("t.de", "t.en", columns=columns).named
    for names, rows in ((("x.1", "x.2"), ROWS), (("x.2", "x.1"), [row[::-1] for row in ROWS])):
        assert pairs(opened(*names, columns=columns, named=named), columns) == rows
    assert opened("one/t", "two/t", columns=columns).named == {}
    # A column's own name comes before what another's file was called.
    assert pairs(opened("t.en", "t.de", named={"de": "en", "en": "de"})) == ROWS


@pytest.mark.parametrize(
    ("learned", "others"),
    [
        (("t.en", "t.de"), ("newstest-en.de.src", "ref.txt")),
        (("t.en", "t.de"), ("newstest.en.de", "ref.txt")),
        (("t.en", "t.de"), ("ref.txt", "newstest.en.de")),
        (("t.en", "t.de.tok"), ("v.en.tok", "v.de")),
        (("t.en.v1", "t.de.v2"), ("v.en.v2", "v.de.v1")),
        (("a.txt", "b.txt"), ("b.txt", "c.txt")),
        (("2015.txt", "2016.txt"), ("2016.txt", "2017.txt")),
    ],
)
def test_names_that_do_not_all_say_the_same_as_before_overrule_no_order(learned, others, tmp_path, opened):
    columns = "source", "target"
    put_pairs(tmp_path, *learned)
    named = opened(*learned, columns=columns).named
    put_pairs(tmp_path, *others)
    table = opened(*others, columns=columns, named=named)
    assert pairs(table, columns) == ROWS
    assert table.said == f"{others[0]} is source, {others[1]} is target"


def test_files_in_no_order_but_that_of_their_names_are_told_to_be_so(tmp_path, opened):
    put_pairs(tmp_path, "t.de", "t.en")
    note = "in the order of the names; for another, give the files themselves one after the other"
    assert opened("t", columns=("source", "target")).said == f"t.de is source, t.en is target, {note}"
    for names, columns in (
        (["t.de", "t.en"], ("source", "target")),
        (["t"], ("de", "en")),
        (["t"], ("de", "target")),
    ):
        assert note not in opened(*names, columns=columns).said


def test_many_faults_show_their_first_places_alone(tmp_path, opened):
    put(tmp_path / "a.tsv", "de\ten\nx\ty\n" + "x\n" * 1000)
    told = opened("a.tsv").faults.told()
    assert "1,000 of 1,001 rows" in told
    assert "line 7 and 995 more" in told
    assert "line 8" not in told


REFUSED = [
    ({}, ["a.tsv"], "there is no file .*a.tsv"),
    ({"a.tsv": b""}, ["a.tsv"], "is empty"),
    ({"a.tsv": b"\n\n"}, ["a.tsv"], "is empty"),
    ({"a.tsv": b"de\ten\n"}, ["a.tsv"], "a row that can be used; there is none"),
    ({"a.tsv": b"de\ten\n\t\n"}, ["a.tsv"], "a row that can be used; there is none"),
    ({"a.tsv.gz": gzip.compress(b"")}, ["a.tsv.gz"], "is empty"),
    ({"a.tsv": b"de\tfr\nx\ty\n"}, ["a.tsv"], "expected a column 'en'; it has 'de', 'fr'"),
    ({"a.tsv": b"\t".join([b"x" * 99] * 99)}, ["a.tsv"], r"^.{,120}expected a column 'de'; it has .{,350}, \.\.\."),
    ({"a.tsv": b"x\ty\tz\n"}, ["a.tsv"], "expected a column 'de'; it has 'x', 'y', 'z'"),
    ({"a.jsonl": b'{"de": "x", "fr": "y"}\n'}, ["a.jsonl"], "expected a column 'en'; it has 'de', 'fr'"),
    ({"a.tsv": b"de\ten\nx\ty\n"}, ["a.tsv", "a.tsv"], "is given twice"),
    ({"a.de": b"x\n"}, ["a.de"], "a file of text for each of de and en"),
    ({"a.de": b"x\ny\n", "a.en": b"x\n"}, ["a"], "a.de has 2, a.en has 1"),
    ({"a.de": b"x\n", "a.en": b"x\n\n\ny\n"}, ["a"], "a.de has 1, a.en has 4"),
    ({"a.de": b"x\n", "b.tsv": b"x\ty\n"}, ["a.de", "b.tsv"], "tables, or files of text side by side"),
    ({"f/a.txt": b"x\n", "f/b.txt": b"x\n", "f/c.txt": b"x\n"}, ["f"], "for each of de and en.*got a.txt, b.txt"),
    ({"f/a.tsv": b"x\ty\n", "f/b.tsv": b"x\ty\n"}, ["f"], "holds several files"),
    ({"f/.x": b"x"}, ["f"], "holds no files"),
    ({"a.parquet": b"nonsense"}, ["a.parquet"], "is no Parquet file"),
    ({"a.parquet.gz": b"nonsense"}, ["a.parquet.gz"], "not packed again"),
    ({"a.tsv.gz": b"nonsense"}, ["a.tsv.gz"], "is damaged or ends early"),
    ({"a.de": b"x\n", "f/x": b"y"}, ["a.de", "f/x/y"], "there is no file"),
]


@pytest.mark.parametrize(("files", "names", "said"), REFUSED, ids=lambda part: str(part)[:30])
def test_what_cannot_be_read_is_refused_with_its_reason(files, names, said, tmp_path, opened):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        put(tmp_path / name, content)
    with pytest.raises(TaskError, match=said):
        opened(*names)


def test_a_file_that_ends_in_the_middle_of_what_was_packed(tmp_path, opened, cache):
    rows = "".join(f"{number * 7919 % 10007}\t{number}\n" for number in range(20_000))
    put(tmp_path / "a.tsv.gz", gzip.compress(b"de\ten\n" + rows.encode())[:-5000])
    with pytest.raises(TaskError, match=r"a.tsv.gz is damaged or ends early: .* after line 1?\d,\d+"):
        opened("a.tsv.gz")
    assert list(cache.iterdir()) == []


def test_the_same_column_twice_is_refused(tmp_path, opened):
    with pytest.raises(TaskError, match="expected different columns; got de and de"):
        opened(*two_files(tmp_path), columns=("de", "de"))


def test_the_parts_of_a_saved_dictionary_are_named(tmp_path, opened):
    data = datasets.Dataset.from_list([{"de": "x", "en": "y"}])
    datasets.DatasetDict({"train": data, "test": data}).save_to_disk(tmp_path / "a")
    with pytest.raises(TaskError, match=r"holds several data sets; give one of them: .*train, .*test"):
        opened("a")
    assert pairs(opened("a/train")) == [("x", "y")]


def test_the_same_rows_do_not_validate_whatever_file_they_come_from(tmp_path, opened):
    train, other = opened(*tsv(tmp_path)), opened(*two_packed(tmp_path))
    with pytest.raises(TaskError, match="expected other rows to validate"):
        check_apart(train, other)
    put(tmp_path / "b.tsv", lines([COLUMNS, *ROWS[:2]]))
    check_apart(train, opened("b.tsv"))


def test_a_changed_file_is_read_anew_and_an_unchanged_one_is_not(tmp_path, opened, cache):
    path = put(tmp_path / "a.tsv", "de\ten\nx\ty\n")
    opened("a.tsv")
    (kept,) = cache.iterdir()
    written = (kept / "rows.arrow").stat().st_mtime_ns
    put(path, "de\ten\nx\ty\n")
    opened("a.tsv")
    assert (kept / "rows.arrow").stat().st_mtime_ns == written
    assert list(cache.iterdir()) == [kept]
    put(path, "de\ten\nx\tz\n")
    assert pairs(opened("a.tsv")) == [("x", "z")]
    assert pairs(opened("a.tsv", columns=("en", "de")), ("en", "de")) == [("z", "x")]


def test_a_digest_tells_apart_where_a_text_ends(tmp_path, opened):
    digests = []
    for number, rows in enumerate(([("a", "cd"), ("b", "e")], [("a", "d"), ("bc", "e")])):
        put(tmp_path / f"{number}.tsv", lines([COLUMNS, *rows]))
        digests.append(opened(f"{number}.tsv").digest)
    assert digests[0] != digests[1]


def test_the_cache_of_the_library_is_taken_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "here")
    put(tmp_path / "a.tsv", "de\ten\nx\ty\n")
    assert pairs(read(str(tmp_path / "a.tsv"), COLUMNS)) == [("x", "y")]
    assert len(list((tmp_path / "here" / "regard").iterdir())) == 1


def test_a_cache_that_cannot_be_written_says_what_to_do(tmp_path):
    put(tmp_path / "file", "x")
    put(tmp_path / "a.tsv", "de\ten\nx\ty\n")
    with pytest.raises(TaskError, match="set HF_DATASETS_CACHE"):
        read(tmp_path / "a.tsv", COLUMNS, cache=tmp_path / "file" / "cache")


def test_texts_go_through_columns_row_by_row(tmp_path, opened):
    put(tmp_path / "a.tsv", lines([COLUMNS, *((f"d{n}", f"e{n}") for n in range(5000))]))
    rows = opened("a.tsv").rows
    every = [text for n in range(5000) for text in (f"d{n}", f"e{n}")]
    assert list(texts(rows, COLUMNS)) == every
    assert list(texts(rows.to_list(), COLUMNS)) == every
    assert list(texts(rows, ["en"])) == every[1::2]
    assert list(texts([], COLUMNS)) == []


READING = """
import sys
from pathlib import Path
import datasets, pyarrow, pyarrow.ipc
from regard.tasks.data.read import read

def megabytes(what):
    status = open("/proc/self/status").read()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(what))) / 1024

before = megabytes("VmRSS")
table = read(sys.argv[1], ("de", "en"), cache=Path(sys.argv[2]))
print(len(table), megabytes("VmHWM") - before)
"""


@on_linux
@pytest.mark.slow
def test_a_corpus_larger_than_the_memory_it_may_take(tmp_path):
    line = (
        "ein Hund läuft über die Wiese und bellt " * 20 + "\t" + "a dog runs over the meadow and barks " * 20 + "\n"
    )
    count = (300 << 20) // len(line.encode())
    with (tmp_path / "a.tsv").open("w") as file:
        file.write("de\ten\n")
        file.writelines(line for _ in range(count))
        file.write("Ende\tthe end\n")
    done = subprocess.run(
        [sys.executable, "-c", READING, tmp_path / "a.tsv", tmp_path / "cache"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, grown = done.stdout.split()
    assert int(rows) == count + 1
    assert float(grown) < 120
