"""Lines of text as they come: order, endings, odd bytes, and streams that never end."""

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.cli.lines import arrived, lines_of
from regard.errors import InputError


class Pieces:
    """A stream that gives one piece at a time."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def read(self, _):
        return self.pieces.pop(0) if self.pieces else b""


def flat(windows):
    return [line for window in windows for line in window]


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\ufeff"))), st.integers(1, 9), st.data()
)
def test_lines_do_not_depend_on_the_pieces_they_come_in(lines, most, data):
    content = "".join(f"{line}\n" for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    pieces = [content[start:stop] for start, stop in zip([0, *cuts], [*cuts, None], strict=True)]
    windows = list(arrived(Pieces(*filter(None, pieces)), "it", most))
    assert flat(windows) == lines
    assert all(len(window) <= most for window in windows)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        ("a\u2028b\x85c\x0cd\n".encode(), ["a\u2028b\x85c\x0cd"]),
    ],
)
def test_a_line_ends_where_its_break_is(content, lines, tmp_path):
    (tmp_path / "a.txt").write_bytes(content)
    assert flat(arrived(io.BytesIO(content), "it", 9)) == lines
    assert flat(lines_of(None, tmp_path / "a.txt", 9)) == lines


def test_a_text_may_have_lines():
    assert list(lines_of("a\nb\n\nc\n", None, 2)) == [["a", "b"], ["", "c"]]
    assert list(lines_of("", None, 2)) == [[""]]


def test_what_has_arrived_is_handed_on_before_the_end():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as stream, os.fdopen(writing, "wb", buffering=0):
        windows = arrived(stream, "it", 9)
        os.write(writing, b"one\ntw")
        assert next(windows) == ["one"]
        os.write(writing, b"o\n")
        assert next(windows) == ["two"]


def test_good_lines_come_before_a_bad_one_and_its_number_is_told():
    windows = arrived(io.BytesIO(b"a\nb\n\xff\nc\n"), "it", 9)
    assert next(windows) == ["a", "b"]
    with pytest.raises(InputError, match="line 3 of it has other bytes at position 0"):
        next(windows)


@pytest.mark.parametrize("sign", ["a", "é", "日", "\N{GRINNING FACE}"])
def test_of_a_line_without_end_the_first_signs_are_kept_whole(monkeypatch, sign):
    monkeypatch.setattr("regard.cli.lines._KEPT", 30)
    content = f"a{sign * 50}\nb\nc{sign * 50}".encode()
    for size in (1, 7, 200):
        pieces = [content[start : start + size] for start in range(0, len(content), size)]
        first, second, third = flat(arrived(Pieces(*pieces), "it", 9))
        assert (first[0], second, third[0]) == ("a", "b", "c")
        assert {*first[1:], *third[1:]} == {sign}
        assert len(first.encode()) == len(third.encode()) <= 30
        assert len(f"{first}{sign}".encode()) > 30


def test_a_line_without_end_that_begins_no_sign_is_no_text(monkeypatch):
    monkeypatch.setattr("regard.cli.lines._KEPT", 8)
    with pytest.raises(InputError, match="line 1 of it has other bytes at position 0"):
        flat(arrived(Pieces(b"\x80" * 20), "it", 9))


def test_a_stream_that_breaks_is_told_after_what_came():
    class Broken(Pieces):
        def read(self, size):
            if not self.pieces:
                raise OSError(5, "broken")
            return super().read(size)

    windows = arrived(Broken(b"a\nb"), "it", 9)
    with pytest.raises(InputError, match="cannot read it: broken"):
        assert flat(windows) == []


@pytest.mark.parametrize(("text", "file"), [(None, None), ("a", "b")])
def test_one_text_is_expected(text, file):
    with pytest.raises(InputError, match="expected a text, --file"):
        lines_of(text, file, 9)
