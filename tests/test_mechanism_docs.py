"""The pages on mechanisms are true: code prints what they say, pictures exist, no public mechanism lacks one."""

import contextlib
import importlib.util
import inspect
import io
import re
from pathlib import Path

import pytest

import regard
from regard.mechanisms.masks import Mask
from regard.mechanisms.modifiers import Modifier
from regard.mechanisms.scores import Score
from regard.mechanisms.weighing import Weighing

DOCS = Path(regard.__file__).parents[2] / "docs"
INDEX = DOCS / "mechanisms/README.md"
PAGES = sorted(page for page in INDEX.parent.glob("*.md") if page != INDEX)

# A block of Python and what it prints, which stands right below it.
EXAMPLE = re.compile(r"^```python\n(.*?)^```\n\n^```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MOST_BYTES = 25_000


def text_of(page):
    return page.read_text(encoding="utf-8")


def without_ends(text):
    """Lines without the blanks at their ends, which editors take away."""
    return [line.rstrip() for line in text.rstrip().split("\n")]


def printed(code, name):
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(compile(code, name, "exec"), {"__name__": "example"})
    return told.getvalue()


def examples():
    for page in (*PAGES, INDEX, DOCS / "linear.md"):
        for number, (code, told) in enumerate(EXAMPLE.findall(text_of(page)), 1):
            yield pytest.param(code, told, id=f"{page.stem}-{number}")


def public(kind):
    """Names of the functions of the face that return such a part of a mechanism."""
    functions = {
        name: getattr(regard, name) for name in regard.__all__ if inspect.isfunction(getattr(regard, name))
    }
    returned = {name: inspect.signature(each).return_annotation for name, each in functions.items()}
    return [name for name, part in returned.items() if inspect.isclass(part) and issubclass(part, kind)]


def page_of(name):
    """The page that the index gives for a function."""
    lines = [line for line in text_of(INDEX).splitlines() if f"`{name}(" in line and line.endswith(".md) |")]
    assert len(lines) == 1, f"the index has no line, or several, for {name}"
    return INDEX.parent / re.findall(r"\(([\w-]+\.md)\) \|$", lines[0])[0]


PUBLIC = sorted(name for kind in (Mask, Score, Modifier, Weighing) for name in public(kind))


@pytest.mark.parametrize(("code", "told"), list(examples()))
def test_examples_print_what_the_page_says(code, told):
    assert without_ends(printed(code, "example")) == without_ends(told)


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda page: page.stem)
def test_every_block_of_python_says_what_it_prints(page):
    assert text_of(page).count("```python\n") == len(EXAMPLE.findall(text_of(page))) > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_its_parts(page):
    text = text_of(page)
    assert re.match(r"# .+\n\n    \S", text), "a formula stands first"
    assert "\nSource: " in text
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Use", "Cost", "Example"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_shows_its_picture(page):
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text_of(page))
    assert shown == [f"../images/mechanisms/{page.stem}.png"]
    assert (page.parent / shown[0]).stat().st_size < MOST_BYTES


def test_there_are_mechanisms_of_every_kind():
    assert {"causal", "dot", "alibi", "soft_cap", "softmax"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_mechanism_has_a_page(name):
    assert f"regard.{name}(" in text_of(page_of(name))


@pytest.mark.parametrize("name", public(Mask))
def test_every_mask_is_drawn_on_its_page(name):
    codes = [code for code, _ in EXAMPLE.findall(text_of(page_of(name)))]
    assert any(re.search(rf"regard\.{name}\(.*\.draw\(", code) for code in codes)


def test_the_index_names_every_page():
    listed = re.findall(r"^\|.*\(([\w-]+\.md)\) \|$", text_of(INDEX), re.MULTILINE)
    assert sorted(listed) == [page.name for page in PAGES]


def test_every_picture_is_drawn_by_the_script():
    spec = importlib.util.spec_from_file_location("draw_mechanisms", DOCS / "draw_mechanisms.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert sorted(script.PICTURES) == sorted(page.stem for page in PAGES)
    assert sorted(picture.stem for picture in script.IMAGES.iterdir()) == sorted(script.PICTURES)
