"""What the tasks need beside the core, and the one message where it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from regard.errors import TaskError

# Names under which the packages of the extra are imported.
PACKAGES = {
    "lightning",
    "datasets",
    "pyarrow",
    "tokenizers",
    "sacrebleu",
    "sentencepiece",
    "babel",
    "tensorboard",
    "safetensors",
    "yaml",
}


@contextmanager
def extra() -> Iterator[None]:
    """Turn a missing package of the extra into one message, wherever it is first imported.

    Raises:
        TaskError: a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        raise TaskError(f"a task needs {package}; install the extra: pip install 'regard[tasks]'") from error
