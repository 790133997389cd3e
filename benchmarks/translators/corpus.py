"""Multi30k, English to German, as the benchmarks of translation read it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard.tasks import Row, Settings, find_task
from regard.tasks.data.read import read
from regard.tasks.training.folder import RunFolder

TRAIN, VALID, TEST = "train", "val", "test_2016_flickr"
EXAMPLES = Path(__file__).parents[2] / "examples" / "translation"


@dataclass(frozen=True)
class Corpus:
    """Rows with the columns source and target.

    Attributes:
        train: 29,000 pairs.
        valid: 1,014 pairs.
        test: the 1,000 of 2016.
    """

    train: Sequence[Row]
    valid: Sequence[Row]
    test: Sequence[Row]


def corpus(folder: Path) -> Corpus:
    """Return Multi30k, raw or tokenised, or end the program and say which files were expected."""
    return Corpus(*(read(files(folder, split), ("source", "target")).rows for split in (TRAIN, VALID, TEST)))


def files(folder: Path, split: str) -> list[Path]:
    """Return the two files of a split, or end the program."""
    found = [sorted(folder.glob(f"{split}.{way}")) for way in ("*en.gz", "*de.gz")]
    if any(len(several) != 1 for several in found):
        sys.exit(
            f"{folder}: expected the files of Multi30k, {split}[...].en.gz and {split}[...].de.gz, one each; got"
            f" {', '.join(path.name for several in found for path in several) or 'none'}. They are in the folder"
            " data/task1 of github.com/multi30k/dataset"
        )
    return [path for several in found for path in several]


def settings_in(example: str, *sets: str) -> Settings[Any]:
    """Return the settings of an example, some of them changed."""
    return Settings.read(find_task("translation"), EXAMPLES / example, sets)


def trained(settings: Settings[Any], rows: Corpus, folder: Path, *, resume: bool = False) -> Any:
    """Return a run that was trained in a folder, saying how far it is."""
    from rich.console import Console

    from regard.tasks import fit

    with RunFolder.take(folder, resume=resume) as taken:
        told = Console(stderr=True)
        return fit(find_task("translation"), settings, rows.train, rows.valid, taken, console=told)
