"""The page on changes is true: its code runs, its options exist, its table is what comes out."""

import re
from pathlib import Path

import pytest
import torch
from typer.main import get_command

import regard
from regard.cli import app
from regard.cli.model import load
from tests.demo import needs_demo
from tests.test_look import SENTENCE

PAGE = (Path(regard.__file__).parents[2] / "docs/change.md").read_text(encoding="utf-8")


def test_the_python_of_the_page_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(block, "docs/change.md", "exec"), {})
    assert "Effect(distance" in capsys.readouterr().out


def test_every_change_and_option_is_on_the_page():
    room = regard.knock_out.__module__
    makers = [name for name in regard.__all__ if getattr(getattr(regard, name), "__module__", "") == room]
    assert all(f"`{name}(" in PAGE for name in makers if name != "Change")
    known = {option for parameter in get_command(app).commands["look"].params for option in parameter.opts}
    assert set(re.findall(r" (--[a-z-]+)", PAGE)) <= known


@needs_demo
@pytest.mark.slow
def test_the_table_is_what_comes_out():
    assert SENTENCE in PAGE
    demo = load(None)
    inputs = demo.tokenizer(SENTENCE, return_tensors="pt")
    rows = re.findall(r"layer (\d), head (\d+) \| ([\d.]+) \| ([\d.]+)", PAGE)
    assert len(rows) == 6
    found = {
        by: regard.head_effects(
            demo.model,
            inputs,
            by=by,
            read=lambda output: output.last_hidden_state[0].mean(0),
            measure=lambda effect: 1 - effect.cosine,
        )
        for by in ("zero", "mean")
    }
    for layer, head, *numbers in rows:
        for by, number in zip(("zero", "mean"), numbers, strict=True):
            value = found[by][f"encoder.layer.{layer}.attention.self", int(head)]
            assert 1000 * value == pytest.approx(float(number), abs=0.051), (layer, head, by)
    for by, listed in (("zero", rows[:3]), ("mean", rows[3:])):
        first = [(path.split(".")[2], str(head)) for path, head in list(found[by])[:3]]
        assert first == [(layer, head) for layer, head, *_ in listed]
    keep = []
    note = regard.change_output(lambda Z: keep.append(Z) or Z, layers=5)
    with torch.no_grad(), regard.change(demo.model, note):
        demo.model(**inputs)
    Z = keep[0][0, [int(head) for _, head, *_ in rows[:3]]]
    shared = Z.mean(1).square().sum(-1) * Z.shape[1] / Z.square().sum((-2, -1))
    assert [f"{share:.0%}" for share in sorted(shared.tolist())][::2] == ["81%", "87%"]
    assert "81 to\n87 %" in PAGE
