"""Training in bfloat16 keeps few of the shapes that oneDNN compiles code for."""

import os

import pytest

from regard.tasks.training.precision import keep_few_shapes
from regard.tasks.training.settings import TrainingSettings

NAMES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


@pytest.fixture(autouse=True)
def without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("precision", "kept"), [("bfloat16", "128"), ("float32", None)])
def test_few_shapes_are_kept_where_they_are_compiled(precision: str, kept: str | None) -> None:
    keep_few_shapes(TrainingSettings(precision=precision))
    assert [os.environ.get(name) for name in NAMES] == [kept, kept]


def test_variables_of_the_users_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMES[0], "7")
    keep_few_shapes(TrainingSettings(precision="bfloat16"))
    assert os.environ[NAMES[0]] == "7"
