"""The page that builds a model is true: its code prints what it says, and its model takes no more than 30 lines."""

import math
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

import regard

PAGE = (Path(regard.__file__).parents[2] / "docs/build-a-model.md").read_text(encoding="utf-8")
CODE, SAID = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("python", "text"))


@pytest.mark.slow
def test_the_code_prints_what_the_page_says(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(CODE)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout == "".join(SAID), done.stderr
    assert (tmp_path / "miller.html").stat().st_size > 10_000


def test_the_model_takes_thirty_lines():
    lines = CODE[0].strip().splitlines()
    assert len(lines[next(n for n, line in enumerate(lines) if line.startswith("class")) :]) <= 30


def test_the_last_character_alone_leaves_the_loss_that_the_page_says():
    text = re.search(r'TEXT = """(.*?)"""', PAGE, re.DOTALL)[1]
    pairs, firsts = Counter(pairwise(text)), Counter(text[:-1])
    left = -sum(count * math.log(count / firsts[first]) for (first, _), count in pairs.items()) / (len(text) - 1)
    assert f"{left:.1f}" == re.search(r"a loss of about ([\d.]+\d)", PAGE)[1]
