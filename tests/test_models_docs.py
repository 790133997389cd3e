"""The page of the docs on models is true: its code prints what it says, and its tables name what there is."""

import re
import subprocess
import sys
from pathlib import Path

import regard
from regard import models
from regard.models import generation
from regard.models.families.choose import FAMILIES

PAGE = (Path(regard.__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_code_prints_what_the_page_says():
    code = "\n".join(blocks("python"))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "".join(blocks("text")), done.stderr


def test_every_builder_has_a_row():
    builders = {name for name in models.__all__ if name.islower()} - {"from_pretrained", *generation.__all__}
    assert not [name for name in builders if f"`{name}`" not in PAGE]


def test_every_family_is_named():
    assert re.search(r"by `model_type`: ([\w, \n]+)\.", PAGE)[1].replace("\n", " ").split(", ") == sorted(FAMILIES)
