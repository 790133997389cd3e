"""A corpus: documents read one by one from files, in a fixed order, with what cannot be read told line by line."""

import glob
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regard.errors import InputError
from regard.watch.survey.formats import READERS, Item, Source, format_of, saved_dataset

_SAMPLE = 1 << 16


@dataclass(frozen=True, eq=False)
class Entry:
    """What stands at one place of a corpus.

    Attributes:
        number: its number, from 0, bad ones counted.
        place: where it stands, for people.
        text: the document, or None if there is none.
        target: the text for a decoder, where one was asked for.
        problem: why there is none; "" for a blank line, which is no mistake.
        done: what share of the corpus is read after it.
    """

    number: int
    place: str
    text: str | None
    target: str | None
    problem: str
    done: float


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents in a fixed order.

    Attributes:
        name: what the user called it.
        fingerprint: differs for different documents (files are known by name, size, beginning and end).
        sources: what is read, one after the other.
    """

    name: str
    fingerprint: str
    sources: tuple[Source, ...]

    def __iter__(self) -> Iterator[Entry]:
        number, total = 0, sum(source.size for source in self.sources) or 1
        before = 0
        for source in self.sources:
            for item in source.read():
                yield Entry(number, item.place, *_checked(item), (before + item.done * source.size) / total)
                number += 1
            before += source.size


def open_corpus(
    source: str | Path | Sequence[str],
    *,
    field: str = "text",
    target_field: str | None = None,
    whole: bool = False,
    split: str | None = None,
) -> Corpus:
    """Return a corpus, after making sure that its files can be opened.

    Args:
        source: a file (.txt, .jsonl, both also with .gz, or .parquet), a folder or glob of such, a folder that the
            library datasets saved, or a sequence of texts.
        field: which field of .jsonl, .parquet and data sets holds the text.
        target_field: which field holds the text for a decoder.
        whole: .txt: whether a file is one document; else each line is.
        split: which part of a saved dictionary of data sets.

    Raises:
        InputError: there is no such thing, or it is of no format that can be read.
    """
    if not isinstance(source, str | Path):
        return _of_texts(source)
    saved = saved_dataset(Path(source), field, target_field, split)
    if saved is not None:
        return Corpus(str(source), _digest([saved.identity.encode()]), (saved,))
    paths = _paths(source)
    sources = tuple(READERS[format_of(path)](path, field, target_field, whole) for path in paths)
    samples = (f"{path.name}\0{path.stat().st_size}\0".encode() + _sample(path) for path in paths)
    return Corpus(str(source), _digest(samples), sources)


def _of_texts(texts: Sequence[str]) -> Corpus:
    if bad := [i for i, text in enumerate(texts) if not isinstance(text, str)]:
        raise InputError(f"expected a sequence of texts; number {bad[0]} is {type(texts[bad[0]]).__name__}")

    def read() -> Iterator[Item]:
        for i, text in enumerate(texts):
            yield Item(f"text {i + 1}", text, None, "" if text.strip() else "empty", (i + 1) / len(texts))

    encoded = (text.encode(errors="surrogatepass") + b"\0" for text in texts)
    return Corpus(f"{len(texts)} texts", _digest(encoded), (Source(len(texts), "", read),))


def _paths(source: str | Path) -> list[Path]:
    path = Path(source)
    if path.is_file():
        if format_of(path) not in READERS:
            raise InputError(f"expected a corpus that ends in {', '.join(READERS)} (or .gz); got {path.name!r}")
        return [path]
    found = path.rglob("*") if path.is_dir() else map(Path, glob.glob(str(source), recursive=True))  # noqa: PTH207
    paths = sorted(each for each in found if each.is_file() and format_of(each) in READERS)
    if not paths:
        what = "holds no file" if path.is_dir() else "is neither a file nor a folder nor a glob of files"
        raise InputError(f"the corpus {str(source)!r} {what} that ends in {', '.join(READERS)} (or .gz)")
    return paths


def _sample(path: Path) -> bytes:
    """Return the beginning and the end of a file."""
    try:
        with path.open("rb") as file:
            beginning = file.read(_SAMPLE)
            file.seek(max(0, path.stat().st_size - _SAMPLE))
            return beginning + file.read()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _digest(parts: "Iterator[bytes] | Sequence[bytes]") -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:32]


def _checked(item: Item) -> tuple[str | None, str | None, str]:
    """Return text, target and problem; what is no text at all has a problem."""
    if item.text is None or item.problem:
        return None, None, item.problem
    for text in (item.text, item.target or ""):
        if "\0" in text:
            return None, None, "holds binary data"
        try:
            text.encode()
        except UnicodeEncodeError:
            return None, None, "holds half of a surrogate pair"
    return item.text, item.target, ""
