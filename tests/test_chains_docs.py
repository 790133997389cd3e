"""The page about chains is true: its code runs in one go, and its numbers are the program's."""

import re
from pathlib import Path

import regard
from regard.watch.chains import flow, stack

PAGE = (Path(regard.__file__).parents[2] / "docs/chains.md").read_text(encoding="utf-8")


def test_the_python_of_the_page_runs(capsys) -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    exec(compile(code, "docs/chains.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "True\n" in printed
    assert "torch.Size([1, 4, 12]) torch.Size([1, 4, 12]) torch.Size([1, 4, 1, 12])" in printed
    assert "torch.Size([1, 1, 5]) torch.Size([1, 1, 12])" in printed


def test_the_numbers_of_the_page_are_the_programs() -> None:
    assert f"up to {flow.LONGEST} tokens" in PAGE
    assert f"a text of up to {stack.ALL:,} start" in PAGE


def test_every_function_is_on_the_page() -> None:
    own = [name for name in regard.__all__ if ".watch.chains." in getattr(regard, name).__module__]
    assert own
    assert all(f"| `{name}` |" in PAGE for name in own)
