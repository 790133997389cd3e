"""Settings of a run: every way to write them, every mistake, and files that read back equal."""

import json
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from regard.errors import TaskError
from regard.tasks.fields import fields_of, meanings
from regard.tasks.settings import SECTIONS, DataSettings, Settings, name_in, settings_of
from regard.tasks.training.settings import TrainingSettings


@dataclass(frozen=True)
class Own:
    """Settings of a task.

    Attributes:
        width: how wide it is: a number
            over two lines.
        source: a column.
        shares: several.
        pair: two.
        order: a choice.
        most: at most, if anything.
        said: whether it is said.
        rate: as in training.
    """

    width: int = 8
    source: str = "source"
    shares: tuple[float, ...] = (0.5,)
    pair: tuple[int, int] = (1, 2)
    order: Literal["pre", "post"] = "pre"
    most: int | None = None
    said: bool = False
    rate: float = 1.0


NAME = f"{__name__}:Some"


class Some:
    """As much of a task as settings ask for."""

    name: ClassVar[str] = "some"
    settings = Own


def read(*sets, file=None, defaults=None):
    return Settings.read(Some(), file, sets, defaults=defaults)


def test_nothing_set_leaves_the_defaults():
    assert read() == Settings(NAME, Own(), TrainingSettings(), DataSettings())


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("width=16", "width", 16),
        ("task.width= 16 ", "width", 16),
        ("width=1e2", "width", 100),
        ("width=9007199254740993", "width", 9007199254740993),
        ("source=no", "source", "no"),
        ("source=a=b", "source", "a=b"),
        ("source=", "source", ""),
        ("shares=0.1,2e-1", "shares", (0.1, 0.2)),
        ("shares=[0.1, 1]", "shares", (0.1, 1.0)),
        ("shares=", "shares", ()),
        ("pair=(3, 4)", "pair", (3, 4)),
        ("order=post", "order", "post"),
        ("most=7", "most", 7),
        ("most=none", "most", None),
        ("said=yes", "said", True),
        ("said=False", "said", False),
        ("task.rate=1e-3", "rate", 1e-3),
    ],
)
def test_a_setting_is_read_by_its_type(text, name, value):
    found = getattr(read(text).task, name)
    assert (found, type(found)) == (value, type(value))


def test_a_section_is_no_setting(tmp_path):
    (tmp_path / "a.yaml").write_text("training: fast")
    with pytest.raises(
        TaskError, match=r"a.yaml: training: expected the name of a setting.* a section, of updates"
    ):
        read(file=tmp_path / "a.yaml")
    with pytest.raises(
        TaskError, match=r"--set: task: expected the name of a setting.* a section, of width, source"
    ):
        read("task=3")


def test_the_last_of_two_counts():
    assert read("width=1", "width=2").task.width == 2


def test_hyphens_stand_for_underscores():
    assert read("max-length=7").data.max_length == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width", "expected name=value, such as rate=1e-3; got 'width'"),
        ("=3", "expected the name of a setting; got ''"),
        ("widht=3", "Did you mean width?"),
        ("task.widht=3", "Did you mean task.width?"),
        ("zzzz=3", "See: regard tasks"),
        ("rate=1e-3", "expected task.rate or training.rate; got 'rate', which may be either"),
        ("width=a", "task.width: expected a whole number; got 'a'"),
        ("width=1.5", "expected a whole number; got '1.5'"),
        ("width=inf", "expected a whole number"),
        ("width=", "expected a whole number; got ''"),
        ("task.rate=fast", "expected a number; got 'fast'"),
        ("task.rate=nan", "expected a number; got 'nan'"),
        ("pair=1", "expected 2 values, each a whole number; got '1'"),
        ("shares=1,,2", "expected any number of values, each a number"),
        ("order=past", "expected one of pre, post; got 'past'"),
        ("said=perhaps", "expected yes or no; got 'perhaps'"),
        ("most=few", "expected a whole number or none; got 'few'"),
        ("data.max_length=0", "data.max_length: expected at least 1; got 0"),
    ],
)
def test_a_mistake_says_what_was_expected(text, said):
    with pytest.raises(TaskError) as refused:
        read(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        "task: {width: 16, pair: [3, 4]}",
        "task:\n  width: 16\n  pair: 3, 4\ntraining:\ndata: {}\n",
        "\ufeffname: some\nwidth: 16\ntask.pair: [3, 4]",
        "width: '16'\npair: '(3, 4)'",
    ],
)
def test_files_may_have_sections_or_names(content, tmp_path):
    (tmp_path / "a.yaml").write_text(content, encoding="utf-8")
    found = read(file=tmp_path / "a.yaml")
    assert (found.task.width, found.task.pair) == (16, (3, 4))


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path):
    (tmp_path / "a.yaml").write_text("training: {rate: 1e-3}")
    assert yaml.safe_load("1e-3") == "1e-3"
    assert read(file=tmp_path / "a.yaml").training.rate == 1e-3


def test_json_may_be_indented_with_tabs(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"task": {"width": 16}}, indent="\t"))
    assert read(file=tmp_path / "a.json").task.width == 16


def test_single_settings_go_before_the_file_and_that_before_the_tasks_defaults(tmp_path):
    (tmp_path / "a.yaml").write_text("task: {width: 2, most: 2}")
    found = read("width=3", file=tmp_path / "a.yaml", defaults={"width": 1, "task.most": 1, "source": "x"})
    assert (found.task.width, found.task.most, found.task.source) == (3, 2, "x")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"task: {source: no}",
            "task.source: expected text; got False. Put text that YAML reads as something else",
        ),
        (b"task: {source: 1}", "in quotes"),
        (b"task: {width: yes}", "task.width: expected a whole number; got True"),
        (b"task: {width: [1]}", "expected a whole number; got [1]"),
        (b"task: {widht: 1}", "Did you mean task.width?"),
        (b"tusk: {width: 1}", "got 'tusk.width'"),
        (b"no: 1", "got 'False'"),
        (
            b"name: other\nwidth: 1",
            "test_settings:Some'; got those for 'other'",
        ),
        (b"- a\n- b", "expected names with values"),
        (b"plain", "expected names with values"),
        (b"a: [", "expected YAML or JSON"),
        (b"a: !!python/object/apply:os.system ['true']", "expected YAML or JSON"),
        (b"\xff\xfe", "expected text in UTF-8"),
        (b"a\0b", "expected YAML or JSON"),
        (b"[" * 100_000, "expected YAML or JSON"),
    ],
)
def test_a_file_that_cannot_be_used_says_why_in_one_line(content, said, tmp_path):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(TaskError) as refused:
        read(file=tmp_path / "a.yaml")
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "a.yaml"))
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < len(str(tmp_path)) + 300


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_told(name, tmp_path):
    with pytest.raises(TaskError, match="cannot read"):
        read(file=tmp_path / name)


text = st.text(st.characters(codec="utf-8"))
whole = st.integers(-(2**70), 2**70)
number = st.floats(allow_nan=False)


@given(
    st.builds(
        Own,
        width=whole,
        source=text
        | st.sampled_from(["no", "1", "~", "null", "2020-01-01", "1e3", " a ", "a: b # c", "\x85", "🐈"]),
        shares=st.lists(number).map(tuple),
        pair=st.tuples(whole, whole),
        order=st.sampled_from(["pre", "post"]),
        most=st.none() | whole,
        said=st.booleans(),
        rate=number,
    )
)
def test_what_is_written_reads_back_equal(tmp_path_factory, own):
    file = tmp_path_factory.getbasetemp() / "again.yaml"
    settings = Settings(NAME, own, TrainingSettings(), DataSettings())
    settings.write(file)
    assert Settings.read(Some(), file) == settings
    assert name_in(file) == NAME


def test_what_is_written_says_what_each_setting_means():
    lines = read().text().splitlines()
    assert lines[lines.index("  width: 8") - 1] == "  # how wide it is: a number over two lines."
    assert "  pair: [1, 2]" in lines


def test_every_setting_of_every_run_has_a_meaning():
    assert [field.full for field in settings_of(Some()) if not field.about] == []
    assert {field.section for field in settings_of(Some())} == set(SECTIONS)


def test_meanings_end_where_the_list_does():
    class Documented:
        """One.

        Attributes:
            a: first.

        Raises:
            b: second.
        """

    assert meanings(Documented) == {"a": "first."}
    assert meanings(int) == {}


def test_defaults_are_those_of_the_dataclass():
    assert {field.name: field.default for field in fields_of("task", Own)} == vars(Own())
