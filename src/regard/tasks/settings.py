"""A run's settings: the task's own, those of training and of data; read from a file and `--set`, written back."""

import difflib
import json
import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from regard.errors import TaskError
from regard.tasks.choose import find_task, task_names
from regard.tasks.extra import extra
from regard.tasks.fields import Field, fields_of
from regard.tasks.training.settings import TrainingSettings
from regard.writing import write_whole

if TYPE_CHECKING:
    from regard.tasks.contract import Task

S = TypeVar("S")

# The key of a settings file that says which task it is for.
NAME = "name"
SECTIONS = ("task", "training", "data")


@dataclass(frozen=True)
class DataSettings:
    """How a user's files are read.

    Attributes:
        max_length: letters in a column at most; longer lines are counted, told and left out.
        strict: whether the first bad line stops the run, rather than being counted and left out.
    """

    max_length: int = 2000
    strict: bool = False

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise TaskError(f"data.max_length: expected at least 1; got {self.max_length}")


@dataclass(frozen=True)
class Settings(Generic[S]):
    """All that is set for one run.

    Attributes:
        name: what `find_task` finds the task by.
        task: the task's own settings.
        training: how it is trained.
        data: how files are read.
    """

    name: str
    task: S
    training: TrainingSettings
    data: DataSettings

    @classmethod
    def read(
        cls,
        task: "Task[S, Any]",
        file: Path | None = None,
        sets: Sequence[str] = (),
        *,
        defaults: Mapping[str, Any] | None = None,
    ) -> "Settings[S]":
        """Return the settings of a run: defaults, then what a file says, then single ones.

        Args:
            task: the task.
            file: YAML or JSON, with sections "task", "training" and "data", or with names such as "training.rate".
            sets: single settings such as "training.rate=1e-3", or "rate=1e-3" where no other section has the name.
            defaults: what differs from the defaults of the dataclasses.

        Raises:
            TaskError: the file cannot be read or is for another task, or a setting is unknown or not of its type.
        """
        known = settings_of(task)
        values = {_field(name, known): value for name, value in (defaults or {}).items()}

        def change(origin: str, name: str, value: Any) -> None:
            with _found_in(origin):
                field = _field(name, known)
                values[field] = field.read(value)

        for name, value in () if file is None else _in_file(file, (name_of(task), task.name)):
            change(str(file), name, value)
        for each in sets:
            name, separator, text = each.partition("=")
            if not separator:
                raise TaskError(f"--set: expected name=value, such as rate=1e-3; got {each!r}")
            change("--set", name.strip(), text)
        return cls._of(task, values)

    @classmethod
    def _of(cls, task: "Task[S, Any]", values: Mapping[Field, Any]) -> "Settings[S]":
        def section(name: str, kind: Any) -> Any:
            return kind(**{field.name: value for field, value in values.items() if field.section == name})

        return cls(name_of(task), **{name: section(name, kind) for name, kind in _sections(task).items()})

    def text(self) -> str:
        """Return YAML that reads back as these settings, with the meaning of each above it."""
        lines = [f"{NAME}: {_written(self.name)}"]
        for section in SECTIONS:
            lines += ["", f"{section}:"]
            own = getattr(self, section)
            for field in fields_of(section, type(own)):
                lines += [f"  # {field.about}"] if field.about else []
                lines.append(f"  {field.name}: {_written(getattr(own, field.name))}")
            if lines[-1] == f"{section}:":
                lines[-1] += " {}"
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> None:
        """Write these settings to a file, whole or not at all.

        Raises:
            TaskError: the path cannot be written.
        """
        write_whole(path, self.text().encode(), TaskError)


def name_of(task: "Task[S, Any]") -> str:
    """Return what `find_task` finds a task by: its name, or "module:Class" where it is registered nowhere."""
    kind = type(task)
    registered = task.name in task_names() and type(find_task(task.name)) is kind
    return task.name if registered else f"{kind.__module__}:{kind.__qualname__}"


def settings_of(task: "Task[S, Any]") -> tuple[Field, ...]:
    """Return every setting that a task's runs have."""
    return tuple(field for name, kind in _sections(task).items() for field in fields_of(name, kind))


def name_in(file: Path) -> str:
    """Return the name of the task that a run's settings are for.

    Raises:
        TaskError: the file cannot be read, or names none.
    """
    name = _content(file).get(NAME)
    if not isinstance(name, str):
        raise TaskError(f"{file}: expected the name of a task as {NAME!r}; got {name!r}")
    return name


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a question for the name that was meant, or "" where none is near."""
    near = difflib.get_close_matches(name, list(names), 1)
    return f" Did you mean {near[0]}?" if near else ""


def _sections(task: "Task[S, Any]") -> dict[str, Any]:
    return dict(zip(SECTIONS, (task.settings, TrainingSettings, DataSettings), strict=True))


@contextmanager
def _found_in(origin: str) -> Iterator[None]:
    """Say where a mistake stands."""
    try:
        yield
    except TaskError as error:
        raise TaskError(f"{origin}: {error}") from None


def _field(name: str, known: Sequence[Field]) -> Field:
    """Return the setting of a name, which may lack its section.

    Raises:
        TaskError: there is none, or there are several.
    """
    plain = name.replace("-", "_")
    if plain in SECTIONS:
        within = ", ".join(field.name for field in known if field.section == plain)
        raise TaskError(f"{plain}: expected the name of a setting with its value; it is a section, of {within}")
    found = [field for field in known if plain in (field.name, field.full)]
    if len(found) > 1:
        raise TaskError(f"expected {' or '.join(field.full for field in found)}; got {name!r}, which may be either")
    if not found:
        near = nearest(plain, [each for field in known for each in (field.name, field.full)])
        raise TaskError(f"expected the name of a setting; got {name!r}.{near or ' See: regard tasks TASK'}")
    return found[0]


def _in_file(file: Path, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the settings in a file, with the names it gives them."""
    content = _content(file)
    if (name := content.pop(NAME, names[0])) not in names:
        raise TaskError(f"{file}: expected settings for the task {names[0]!r}; got those for {name!r}")
    for key, value in content.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", each) for name, each in value.items())
        # A section may be empty.
        elif value is not None or key not in SECTIONS:
            yield str(key), value


def _content(file: Path) -> dict[Any, Any]:
    """Return what a YAML or JSON file holds.

    Raises:
        TaskError: it cannot be read, or holds no names with values.
    """
    yaml = _yaml()
    try:
        text = file.read_text(encoding="utf-8-sig")
        content = json.loads(text) if file.suffix.lower() == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise TaskError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise TaskError(f"{file}: expected text in UTF-8; got other bytes at position {error.start}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        told = " ".join(str(error).split())
        raise TaskError(f"{file}: expected YAML or JSON; {told}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise TaskError(f"{file}: expected names with values, such as 'rate: 1e-3'; got {reprlib.repr(content)}")
    return content


def _written(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    # In quotes of the other kind a line break would stay one.
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    within: str = _yaml().safe_dump(
        [value], default_flow_style=True, default_style=style, allow_unicode=True, width=math.inf
    )
    return within.strip()[1:-1]


def _yaml() -> Any:
    with extra():
        import yaml
    return yaml
