"""The laws of records in files: what was written is read again to the bit, and nothing else is a record."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import regard
from regard import Attention, load_record, watch
from regard.errors import NotKeptError, RecordError
from tests import models, records
from tests.dense import close
from tests.test_generation import build, prompt, watched_generation


@pytest.mark.parametrize("name", sorted(records.HOW))
def test_a_record_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    seen = records.seen(name)
    read = load_record(seen.save(tmp_path / "seen.safetensors"))
    records.identical(seen.sites, read.sites)
    assert torch.equal(seen[""].weights(), read[""].weights())
    assert torch.equal(seen[""].gradient, read[""].gradient)
    assert str(read) == str(seen)
    assert read.coverage == seen.coverage
    records.identical(seen.sets, read.sets)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_every_data_type_is_read_as_it_was_written(dtype: torch.dtype, tmp_path: Path) -> None:
    seen = records.seen("causal", dtype=dtype)
    read = load_record(seen.save(tmp_path / "seen.safetensors"))
    records.identical(seen.sites, read.sites)
    assert read[""].dtype == dtype


@pytest.mark.parametrize("watching", [{"want": ()}, {"want": ("entropy",)}, {"want": ("rows",)}, {}], ids=str)
def test_what_was_not_kept_is_not_there_either(watching: dict[str, Any], tmp_path: Path) -> None:
    seen = records.seen("plain", **watching)
    records.identical(seen.sites, load_record(seen.save(tmp_path / "seen.safetensors")).sites)


def test_an_empty_record_is_one_too(tmp_path: Path) -> None:
    with watch(torch.nn.Linear(2, 2)) as seen:
        pass
    read = load_record(seen.save(tmp_path / "seen.safetensors"))
    assert read.sites == []
    assert str(read) == str(seen)


def test_the_receipt_is_kept_as_it_stood(tmp_path: Path) -> None:
    model = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(8, 2, 8, batch_first=True), 2).eval()
    with torch.no_grad(), watch(model) as seen:
        model.layers[0](torch.randn(1, 3, 8))
    assert seen.coverage.unseen
    assert load_record(seen.save(tmp_path / "seen.safetensors")).coverage == seen.coverage


def test_keys_of_a_generation_are_written_once_and_join_as_before(tmp_path: Path) -> None:
    model, (tokens, real) = build("mistral"), prompt()
    _, seen = watched_generation(model, tokens, real)
    read = load_record(seen.save(tmp_path / "seen.safetensors"))
    records.identical(seen.sites, read.sites)
    joined, again = seen.joined(), read.joined()
    records.identical(joined.sites, again.sites)
    records.identical(joined.sites, load_record(joined.save(tmp_path / "joined.safetensors")).sites)

    def held(sites: Any) -> int:
        kept = [site.kept.problem.key for site in sites if site.kept is not None]
        return sum({key.untyped_storage().data_ptr(): key.untyped_storage().nbytes() for key in kept}.values())

    assert held(read) <= held(seen)


def test_a_narrowed_record_can_be_written(tmp_path: Path) -> None:
    seen = records.seen("both").select(heads=[3, 1], queries=slice(2, 5))
    read = load_record(seen.save(tmp_path / "seen.safetensors"))
    records.identical(seen.sites, read.sites)
    assert torch.equal(seen[""].weights(), read[""].weights())


def test_a_merged_record_can_be_written(tmp_path: Path) -> None:
    seen = regard.merge([records.seen("padding"), records.seen("padding", seed=1)])
    read = load_record(seen.save(tmp_path / "seen.safetensors"))
    records.identical(seen.sites, read.sites)
    assert torch.equal(seen[""].weights(), read[""].weights())


def _near(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return (q - k).abs() < 3


def _warped(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return score * 0.5


@pytest.mark.parametrize("how", [Attention(mask=_near), Attention(modify=_warped)], ids=["mask", "modifier"])
def test_of_a_call_with_a_function_the_statistics_are_written_and_the_rest_says_why_not(
    how: Attention, tmp_path: Path
) -> None:
    q = torch.randn(1, 2, 6, 4)
    with watch(want=records.EVERYTHING, sets={"some": [1]}) as seen:
        regard.attend(q, q, q, how)
    read = load_record(seen.save(tmp_path / "seen.safetensors"))[""]
    records.identical(seen[""].statistics, read.statistics)
    close(read.mass("some"), seen[""].mass("some"), atol=0.0)
    with pytest.raises(NotKeptError, match="Python function"):
        read.rows([0])


# What is no record.


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"cannot read .*: No such file"):
        load_record(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"PK\3\4 and so on", b"\x10\0\0\0\0\0\0\0[1, 2, 3, 4, 5]"])
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(RecordError, match="expected a record"):
        load_record(tmp_path / "other")


def test_a_file_of_tensors_that_are_no_record_is_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(RecordError, match="expected a record as"):
        load_record(tmp_path / "model.safetensors")


def changed(path: Path, **head: Any) -> Path:
    """Write a file again with another head."""
    with safe_open(path, "pt") as opened:
        old = opened.metadata()
    save_file(load_file(path), path, old | {name: str(value) for name, value in head.items()})
    return path


@pytest.mark.parametrize("version", ["2", "new", "-1", ""])
def test_a_newer_version_is_refused(version: str, tmp_path: Path) -> None:
    path = records.seen("plain").save(tmp_path / "seen.safetensors")
    with pytest.raises(RecordError, match=r"version 1 or older.*newer regard"):
        load_record(changed(path, version=version))


@pytest.mark.parametrize("cut", [20, 2000, -1])
def test_a_file_that_was_cut_off_is_refused(cut: int, tmp_path: Path) -> None:
    path = records.seen("plain").save(tmp_path / "seen.safetensors")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(RecordError):
        load_record(path)


SAYS: dict[str, Any] = {
    "nothing": {},
    "no JSON": None,
    "another class": {"class": "Popen", "fields": {"args": "true"}},
    "another field": {"class": "Sizes", "fields": {"batch": 1, "rooms": 2}},
    "no site": {"class": "Full", "fields": {}},
    "a tensor that is not there": {"tensor": 99},
}


@pytest.mark.parametrize("what", sorted(SAYS))
def test_a_head_that_says_something_else_makes_nothing(what: str, tmp_path: Path) -> None:
    path = records.seen("plain").save(tmp_path / "seen.safetensors")
    said = {"sites": [SAYS[what]], "tensors": [], "coverage": None, "sets": {"mapping": {}}}
    with pytest.raises(RecordError, match="damaged"):
        load_record(changed(path, record="{" if SAYS[what] is None else json.dumps(said)))


def test_a_tensor_beyond_its_numbers_is_refused(tmp_path: Path) -> None:
    path = records.seen("plain").save(tmp_path / "seen.safetensors")
    with safe_open(path, "pt") as opened:
        said = json.loads(opened.metadata()["record"])
    said["tensors"][0]["offset"] = 10**6
    with pytest.raises(RecordError, match="damaged"):
        load_record(changed(path, record=json.dumps(said)))


# Whole or not at all.


def test_a_place_that_cannot_be_written_is_refused_and_nothing_stays_behind(tmp_path: Path) -> None:
    seen = records.seen("plain")
    for path in (tmp_path / "none" / "seen.safetensors", tmp_path):
        with pytest.raises(RecordError, match="cannot write"):
            seen.save(path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = records.seen("plain").save(tmp_path / "seen.safetensors")
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordError, match="No space left"):
        records.seen("causal").save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_report_of_a_read_record_is_that_of_the_record(tmp_path: Path) -> None:
    model = models.FAMILIES["bert"].build("sdpa")
    with torch.no_grad(), watch(model) as seen:
        model(models.tokens(1))
    read = load_record(seen.save(tmp_path / "seen.safetensors"))
    for path, record in (("one.json", seen), ("other.json", read)):
        regard.report(record).save(tmp_path / path)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


PAGE = Path(__file__).parents[1] / "docs/records.md"


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
def test_the_python_of_the_page_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, PAGE.name, "exec"), {})


def test_the_page_says_the_format(tmp_path: Path) -> None:
    path = records.seen("plain").save(tmp_path / "seen.safetensors")
    with safe_open(path, "pt") as opened:
        head = opened.metadata()
    page = PAGE.read_text(encoding="utf-8")
    assert f'`format` is "{head["format"]}", `version` is "{head["version"]}"' in page
    assert all(f"`{name}`" in page for name in [*head, *json.loads(head["record"])])
