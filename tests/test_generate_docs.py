"""The page about generation: its code runs, and its table names every argument."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import regard
from regard.models.generation import generate

PAGE = (Path(regard.__file__).parents[2] / "docs/generation.md").read_text(encoding="utf-8")


def test_its_python_runs():
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([2, 4, 12])" in done.stdout
    assert re.search(r"20 queries, 20 keys", done.stdout)


def test_its_table_names_every_argument():
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert told == set(inspect.signature(generate).parameters) - {"model", "tokens", "fill"}
