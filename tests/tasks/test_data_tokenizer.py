"""Tokenizers: text comes back, none of it is ever a special number, and the same lines give the same one."""

import json
import unicodedata

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import TaskError
from regard.tasks.data.tokenizer import BEGIN, END, PAD, UNKNOWN, Tokenizer

LINES = [
    "The quick brown fox jumps over the lazy dog.",
    "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich: 1234567890!",
    'She said: "the dog\'s bark (a loud one) woke the fox."',
    "Hier steht <0x41> und [PAD] und </s> und < pad > wörtlich.",
    "[PAD] [PAD] </s> </s> <0x41> <0x41> < pad > < pad > < end > < end >",
] * 3
KINDS = ("bpe", "unigram", "characters", "words")
HOSTILE = [
    "[PAD]",
    "</s>",
    "<s>",
    "<pad>",
    "[UNK]",
    "< pad >",
    "< begin >",
    "< end >",
    "< unknown >",
    "<0x41>",
    "▁",
]
# What Unicode has added since is composed by newer tables alone.
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cn"], max_codepoint=0xFFFF) | st.sampled_from("a b▁<\U0001f600")
)


@pytest.fixture(scope="module")
def spelling():
    """Tokenizers that know every character, by its bytes."""
    return {kind: Tokenizer.fit(LINES, kind, 600, byte_fallback=True) for kind in ("bpe", "unigram", "characters")}


@pytest.fixture(scope="module")
def plain():
    return {kind: Tokenizer.fit(LINES, kind, 200) for kind in KINDS}


def normal(text):
    return unicodedata.normalize("NFC", text).replace("▁", "_")


@given(text=TEXT)
@pytest.mark.parametrize("kind", ["bpe", "unigram", "characters"])
def test_any_text_comes_back_where_bytes_spell_what_is_not_known(kind, text, spelling):
    numbers = spelling[kind].encode(text)
    assert spelling[kind].decode(numbers) == normal(text)
    assert min(numbers, default=9) > UNKNOWN


@given(text=TEXT)
@pytest.mark.parametrize("kind", ["bpe", "characters"])
def test_what_is_not_known_is_lost_and_nothing_else(kind, text, plain):
    known = {letter for line in LINES for letter in line} | {" "}
    expected = "".join(letter if letter in known else "\ufffd" for letter in normal(text))
    assert plain[kind].decode(plain[kind].encode(text)) == expected


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", LINES[:4])
def test_lines_that_it_was_fitted_to_come_back(kind, line, plain):
    assert plain[kind].decode(plain[kind].encode(line)) == line


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_a_special_number(kind, text, plain, spelling):
    for written in (text, f"a {text} b", f"a{text}b", text * 3):
        assert not {PAD, BEGIN, END} & {*plain[kind].encode(written)}
        if kind in spelling:
            numbers = spelling[kind].encode(written)
            assert min(numbers) > UNKNOWN
            assert spelling[kind].decode(numbers) == normal(written)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_lines_give_the_same_tokenizer(kind, tmp_path):
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file in files:
        Tokenizer.fit(iter(LINES), kind, 150).save(file)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_one_does_the_same_and_the_library_reads_it(kind, tmp_path, plain):
    path = tmp_path / "tokenizer.json"
    plain[kind].save(path)
    again, theirs = Tokenizer.load(path), tokenizers.Tokenizer.from_file(str(path))
    assert list(tmp_path.iterdir()) == [path]
    for text in (*LINES, *HOSTILE, "", "  two  spaces ", "日本"):
        numbers = plain[kind].encode(text)
        assert again.encode(text) == theirs.encode(text).ids == numbers
        assert again.decode(numbers) == plain[kind].decode(numbers)
    assert again.size == plain[kind].size


@pytest.mark.parametrize("size", [20, 60, 120])
@pytest.mark.parametrize("kind", ["bpe", "characters", "words"])
def test_the_size_is_never_exceeded_and_the_most_frequent_are_kept(kind, size):
    tokenizer = Tokenizer.fit([*LINES, "the " * 20], kind, size)
    assert tokenizer.size <= size
    assert UNKNOWN not in tokenizer.encode("the" if kind == "words" else "e")


def test_special_numbers_are_left_out_of_text_and_shown_in_pieces(plain):
    numbers = [BEGIN, *plain["bpe"].encode("the fox"), END, PAD, PAD]
    assert plain["bpe"].decode(numbers) == "the fox"
    pieces = plain["bpe"].pieces(numbers)
    assert (pieces[0], *pieces[-3:]) == ("<begin>", "<end>", "<pad>", "<pad>")
    assert plain["bpe"].pieces([UNKNOWN]) == ["\ufffd"]
    with pytest.raises(TaskError, match="expected numbers from 0 to"):
        plain["bpe"].pieces([plain["bpe"].size])


def test_lower_case(tmp_path):
    tokenizer = Tokenizer.fit(LINES, "words", 200, lower=True)
    tokenizer.save(tmp_path / "t.json")
    again = Tokenizer.load(tmp_path / "t.json")
    assert again.decode(again.encode("THE Quick ÜBER fox")) == "the quick über fox"


def test_words_are_cut_where_letters_meet_other_signs(plain):
    numbers = plain["words"].encode("said: \"the dog's bark")
    assert plain["words"].pieces(numbers) == ["▁said", ":", '▁"', "the", "▁dog", "'", "s", "▁bark"]
    assert plain["words"].decode(plain["words"].encode("the nonesuch fox")) == "the \ufffd fox"


@pytest.mark.parametrize("kind", KINDS)
def test_an_axis_groups_pieces_to_words(kind, plain):
    numbers = [*plain[kind].encode("the dog's bark (a loud one) woke"), END]
    axis = plain[kind].axis(numbers)
    assert axis.words == ("the", "dog", "'", "s", "bark", "(", "a", "loud", "one", ")", "woke", "<end>")
    assert len(axis.groups) == len(axis.tokens) == len(numbers)
    assert axis.special == (False,) * 11 + (True,)
    assert axis.separators == (len(numbers) - 1,)
    assert list(axis.groups) == sorted(axis.groups)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2020年3月1日", ("2020", "年", "3", "月", "1", "日")),
        ("2020-03-01", ("2020", "-", "03", "-", "01")),
        ("1 मार्च 1931", ("1", "मार्च", "1931")),
    ],
)
def test_dates_are_cut_where_people_read_them(text, words):
    tokenizer = Tokenizer.fit([text], "characters", 50)
    assert tokenizer.axis(tokenizer.encode(text)).words == words


@given(text=TEXT)
def test_an_axis_has_a_word_for_every_number(text, spelling):
    numbers = spelling["bpe"].encode(text)
    axis = spelling["bpe"].axis(numbers)
    assert set(axis.groups) == set(range(len(axis.words)))
    assert len(axis.groups) == len(axis.labels) == len(numbers)
    assert all(axis.words)


def test_training_reads_its_lines_once_and_in_portions():
    held = []

    def lines():
        for number in range(5000):
            held.append(number)
            yield f"line {number % 70}"

    Tokenizer.fit(lines(), "words", 50)
    assert held == list(range(5000))


@pytest.mark.parametrize(
    ("lines", "options", "said"),
    [
        ([], {}, "expected some; got none"),
        (["", ""], {}, "expected some; got none"),
        (
            ["a"],
            {"kind": "wordpiece"},
            "expected a tokenizer of kind bpe, unigram, characters, words; got 'wordpiece'",
        ),
        (["a"], {"size": 4}, "size above 4; got 4"),
        (["a"], {"size": 260, "byte_fallback": True}, "size above 260; got 260"),
        (["a"], {"kind": "words", "byte_fallback": True}, "no pieces to spell with"),
        (["abcdefgh"], {"kind": "unigram", "size": 6}, "room for its 9 different characters; got 2. Take 7 more"),
        (["abcdefgh"], {"kind": "unigram", "size": 12}, "room for its 9 different characters; got 8. Take 1 more"),
    ],
)
def test_what_cannot_be_fitted_is_refused(lines, options, said):
    with pytest.raises(TaskError, match=said):
        Tokenizer.fit(lines, **options)


def test_the_least_size_of_a_unigram_model_is_enough():
    fitted = Tokenizer.fit(["abcdefgh"], "unigram", 13)
    assert fitted.decode(fitted.encode("hgfe dcba")) == "hgfe dcba"


def test_a_mistake_in_the_lines_themselves_is_not_hidden():
    def lines():
        yield "a"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Tokenizer.fit(lines())


def test_files_that_are_no_tokenizer_are_refused(tmp_path, plain):
    path = tmp_path / "t.json"
    with pytest.raises(TaskError, match="cannot read the tokenizer"):
        Tokenizer.load(path)
    path.write_text("{}")
    with pytest.raises(TaskError, match="is no tokenizer, or is damaged"):
        Tokenizer.load(path)
    plain["words"].save(path)
    content = json.loads(path.read_text())
    content["model"]["vocab"] = {"[UNK]": 0}
    path.write_text(json.dumps(content))
    with pytest.raises(TaskError, match="its special numbers are others"):
        Tokenizer.load(path)
    with pytest.raises(TaskError, match="cannot write "):
        plain["words"].save(tmp_path / "none" / "t.json")
