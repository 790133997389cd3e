"""What kinds of attention translate: the same task and budget for each, BLEU, time and memory.

    python -m benchmarks.translation_mechanisms --data FOLDER --out RUNS --set updates=4000
    python -m benchmarks.translation_mechanisms --data FOLDER --out RUNS --set minutes=60 --only "recurrent, "

FOLDER holds Multi30k, tokenised and in lower case, as it is scored. Each kind is trained in a process and a folder
of its own; the same command goes on where it was interrupted, and repeats nothing that is there. The words are
those of `--attention`; a Transformer attends by them within both sides and, where they allow, to the source.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console

from benchmarks.measure import machine, peak_megabytes, turns
from benchmarks.translators.corpus import TEST, corpus, files, settings_in, trained
from benchmarks.translators.own import Own
from benchmarks.translators.updates import BATCHES, fresh, risen, updating
from regard.tasks import Settings

TRANSFORMER, RECURRENT = "multi30k-tiny.yaml", "recurrent.yaml"


@dataclass(frozen=True)
class Kind:
    """One line of the table.

    Attributes:
        example: the settings that it begins with.
        sets: what is different.
    """

    example: str
    sets: Sequence[str] = ()


def _both(words: str) -> Kind:
    return Kind(TRANSFORMER, (f"attention={words}", f"source_attention={words}"))


KINDS = {
    "dot": _both("dot"),
    "additive": _both("additive"),
    "bilinear": _both("bilinear"),
    "local: dot; window(4)": Kind(TRANSFORMER, ("attention=dot; window(4)",)),
    "linear": _both("linear"),
    "entmax15": _both("entmax15"),
    "hard": _both("hard"),
    **{
        f"recurrent, {words}": Kind(RECURRENT, (f"source_attention={words}",))
        for words in ("none", "additive", "bilinear")
    },
}


def place_of(out: Path, name: str) -> Path:
    """Return the folder of a kind's run."""
    return out / "".join(letter if letter.isalnum() else "-" for letter in name)


def measured_in(out: Path, name: str) -> Path:
    """Return the file of what was measured."""
    return place_of(out, name).with_suffix(".json")


def train_one(name: str, given: argparse.Namespace) -> None:
    """Train a kind, or go on with it, and write what was measured."""
    place = place_of(given.out, name)
    run = trained(settings_of(name, given), corpus(given.data), place, resume=place.exists())
    scores = run.evaluate(files(given.data, TEST))
    measured = {
        "BLEU": scores.values["BLEU"],
        "said": scores.signatures["BLEU"],
        "weights": sum(each.numel() for each in run.model.parameters()),
        "updates": run.folder.facts["finished"]["update"],
    }
    measured_in(given.out, name).write_text(json.dumps(measured), encoding="utf-8")


def settings_of(name: str, given: argparse.Namespace) -> Settings[Any]:
    """Return the settings of a kind."""
    kind = KINDS[name]
    return settings_in(kind.example, "bleu_words=none", *kind.sets, *given.sets)


def seconds_an_update(names: Sequence[str], given: argparse.Namespace) -> dict[str, float]:
    """Return how long an update of each kind takes, the kinds taking turns on the same batches."""
    rows, several = corpus(given.data), {}
    for name in names:
        run, batches = fresh(rows, settings_of(name, given))
        several[name] = updating(Own(run), batches, run.settings.training)
    rounds = turns(several, given.seconds)
    return {name: median(each[name] for each in rounds) / BATCHES for name in names}


def memory_of(name: str, given: argparse.Namespace) -> float:
    """Return by how many megabytes the peak of this process rises in updates of a kind."""
    run, batches = fresh(corpus(given.data), settings_of(name, given))
    return risen(Own(run), batches, run.settings.training)


def again(flag: str, name: str) -> list[str]:
    """Return the arguments with which this module does its work for one kind, in a process of its own."""
    return ["benchmarks.translation_mechanisms", *sys.argv[1:], flag, name]


def print_table(names: Sequence[str], given: argparse.Namespace, console: Console) -> None:
    """Print what was measured so far."""
    console.print(machine())
    console.print("\n| attention | weights | BLEU | updates | ms an update | + MB in an update |")
    console.print("|---|---:|---:|---:|---:|---:|")
    said, seconds = set(), seconds_an_update(names, given)
    for name in names:
        path = measured_in(given.out, name)
        if not path.exists():
            console.print(f"| {name} | not measured |")
            continue
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        said.add(found["said"])
        console.print(
            f"| {name} | {found['weights']:,} | {found['BLEU']:.2f} | {found['updates']:,} |"
            f" {seconds[name] * 1e3:,.0f} | {peak_megabytes(*again('--memory', name)):,.0f} |"
        )
    console.print(f"\nBLEU on test 2016, {', '.join(sorted(said))}")


def main() -> None:
    """Train what is not there, one kind after the other, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of Multi30k's tokenised files")
    parser.add_argument("--out", type=Path, required=True, help="the folder for runs")
    parser.add_argument("--set", dest="sets", action="append", default=[], help="another setting, for all kinds")
    parser.add_argument("--seconds", type=float, default=60, help="how long updates are timed; default: 60")
    parser.add_argument("--only", default="", help="the kinds whose names begin by this pattern")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.one:
        train_one(given.one, given)
        return
    if given.memory:
        print(memory_of(given.memory, given))
        return
    files(given.data, TEST)
    names = [name for name in KINDS if re.match(given.only, name)]
    for name in names:
        if not measured_in(given.out, name).exists():
            print(name, file=sys.stderr)
            subprocess.run([sys.executable, "-m", *again("--one", name)], check=False)
    print_table(names, given, Console(width=200, highlight=False, markup=False))


if __name__ == "__main__":
    main()
