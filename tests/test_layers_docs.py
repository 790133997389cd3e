"""The page of layers is true: its code runs, and prints what it says; it names every layer."""

import contextlib
import io
import re
from pathlib import Path

import pytest

import regard
from regard import layers

PAGE = (Path(regard.__file__).parents[2] / "docs/layers.md").read_text(encoding="utf-8")


CODE, SAID = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("python", "text"))


@pytest.mark.parametrize(
    ("code", "said"), list(zip(CODE, SAID, strict=True)), ids=["layers", "words", "chosen-blocks"]
)
def test_the_code_prints_what_it_says(code, said):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert printed.getvalue() == said


@pytest.mark.parametrize("name", [name for name in layers.__all__ if name not in {"Cache", "Caches", "Kept"}])
def test_every_layer_is_named(name):
    assert f"`{name}" in PAGE or f"{name}(" in PAGE


def test_names_are_sorted():
    assert layers.__all__ == sorted(layers.__all__)
