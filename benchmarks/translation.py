"""What translation costs: training, the loop around it, decoding and memory, against other libraries.

    python -m benchmarks.translation --data FOLDER                  every table
    python -m benchmarks.translation --data FOLDER --only decoding  the tables whose names begin so
    python -m benchmarks.translation --data FOLDER --run RUN        decoding with the weights of a run

FOLDER holds Multi30k, as raw text. All candidates are the tiny Transformer of examples/translation with the same
weights; in training all drop numbers in the same places, and get the same batches. They take turns in one
process, and ratios are medians of those of single rounds. What is not installed is left out and named, as is Marian
where the norms of a run stand before the branches.
"""

import argparse
import copy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from sacrebleu.metrics.bleu import BLEU

from benchmarks.measure import machine, peak_megabytes, turns
from benchmarks.translators.contract import AbsentError, Learns, Texts, Translates
from benchmarks.translators.corpus import Corpus, corpus, settings_in, trained
from benchmarks.translators.exported import Exported
from benchmarks.translators.joey import Joey
from benchmarks.translators.marian import Marian
from benchmarks.translators.own import Own
from benchmarks.translators.updates import count_of, fresh, risen, updating
from regard.tasks import Batch, Run, RunFolder, Settings, find_task, fit, load_run
from regard.tasks.data.batches import TokenBatches, ordered
from regard.tasks.translation.batches import SOURCE

EXAMPLE = "multi30k-tiny.yaml"
OURS = "regard"
LEARN: Mapping[str, Callable[[Run], Learns]] = {OURS: Own, "JoeyNMT": Joey, "Marian": Marian}
LOSSES_ALIKE = 1e-4


def settings_here(*sets: str) -> Settings[Any]:
    """Return the settings of the example, but that norms stand after the branches: Marian knows no other place."""
    return settings_in(EXAMPLE, "order=post", *sets)


def learners(run: Run, console: Console) -> dict[str, Learns]:
    """Return who learns, each with a copy of the weights of a run; who is absent is named."""
    found = {}
    for name, make in LEARN.items():
        try:
            found[name] = make(run)
        except AbsentError as absent:
            console.print(f"left out: {absent}")
    return found


def check_losses(several: Mapping[str, Learns], batch: Batch) -> None:
    """End the program where the same weights do not give the same loss."""
    with torch.no_grad():
        losses = {name: float(each.loss(each.prepare(batch), 0.0)) for name, each in several.items()}
    expected = losses[OURS]
    if any(abs(loss - expected) > LOSSES_ALIKE * expected for loss in losses.values()):
        sys.exit(f"expected the same loss of the same weights; got {losses}")


def print_training(rows: Corpus, seconds: float, console: Console) -> None:
    """Print target tokens a second of whole updates."""
    run, batches = fresh(rows, settings_here())
    several = learners(run, console)
    run.model.eval()
    check_losses(several, batches[0])
    several[f"{OURS}, bfloat16"] = Own(in_bfloat16(run))
    training = run.settings.training
    rounds = turns({name: updating(each, batches, training) for name, each in several.items()}, seconds)
    console.print("\ntraining\n| | target tokens a second | regard / it |\n|---|---:|---:|")
    tokens = sum(map(count_of, batches))
    for name in several:
        print_speed(name, tokens, rounds, console)


def in_bfloat16(run: Run) -> Run:
    """Return a run with a copy of the model, which learns in bfloat16."""
    training = replace(run.settings.training, precision="bfloat16")
    settings = replace(run.settings, training=training)
    return Run(run.task, settings, run.parts, copy.deepcopy(run.model), run.folder)


def print_speed(name: str, amount: int, rounds: Sequence[Mapping[str, float]], console: Console) -> None:
    """Print how much a second one gets done, and how many times as much regard does."""
    speed = amount / median(each[name] for each in rounds)
    ratio = median(each[name] / each[OURS] for each in rounds)
    console.print(f"| {name} | {speed:,.0f} | {ratio:.2f} |")


def print_loop(rows: Corpus, seconds: float, console: Console) -> None:
    """Print what the whole of training costs beside its bare updates, on the same batches in turns."""
    task, settings = find_task("translation"), settings_here("accumulate=1", "average=0", "keep=0")
    each, stop, ratios = 8, time.perf_counter() + seconds, []
    with tempfile.TemporaryDirectory() as place:
        folder, before, done = Path(place) / "run", 0.0, 0
        while done < 2 * each or time.perf_counter() < stop:
            done += each
            training = replace(settings.training, updates=done)
            with RunFolder.take(folder, resume=done > each) as taken:
                run = fit(task, replace(settings, training=training), rows.train, None, taken)
                taken_seconds = float(taken.facts["finished"]["seconds"])
            loop, before = taken_seconds - before, taken_seconds
            features = [task.features(row, run.parts, settings.task) for row in rows.train]
            sizes = [task.size(one) for one in features]
            numbers = TokenBatches(sizes, training.batch_tokens, training.seed, first=done - each)
            batches = [task.batch([features[row] for row in some], run.parts) for some in islice(numbers, each)]
            bare = updating(Own(run), batches, training)
            start = time.perf_counter()
            bare()
            ratios.append((time.perf_counter() - start) / loop)
    console.print("\nloop\n| | speed of the bare update |\n|---|---:|")
    console.print(f"| regard.tasks.fit, {len(ratios)} rounds of {each} updates | {median(ratios):.2f} |")


def print_decoding(run: Run, rows: Corpus, sentences: int, threads: int, seconds: float, console: Console) -> None:
    """Print sentences a second, greedily and by beam search, and how many translations are the same."""
    batches, back, count = sources(run, rows, sentences)
    several: dict[str, Translates] = {**learners(run, console)}
    try:
        several["CTranslate2"] = Exported(run, threads, run.settings.training.batch_tokens)
    except AbsentError as absent:
        console.print(f"left out: {absent}")
    for beam in (1, 5):
        written = {name: each.translate(batches, beam) for name, each in several.items()}
        rounds = turns({name: partial(each.translate, batches, beam) for name, each in several.items()}, seconds)
        console.print(f"\ndecoding, {'greedy' if beam == 1 else f'beam {beam}'}")
        console.print(
            "| | sentences a second | regard / it | same translations, % | BLEU |\n|---|---:|---:|---:|---:|"
        )
        for name, texts in written.items():
            same = 100 * np.mean([one == other for one, other in zip(texts, written[OURS], strict=True)])
            speed = count / median(each[name] for each in rounds)
            ratio = median(each[name] / each[OURS] for each in rounds)
            score = bleu(run, [texts[place] for place in back], rows, count)
            console.print(f"| {name} | {speed:,.1f} | {ratio:.2f} | {same:.1f} | {score:.1f} |")


def sources(run: Run, rows: Corpus, sentences: int) -> tuple[list[Texts], Sequence[int], int]:
    """Return the test side in batches of like length, as a run makes them, the way back, and how many there are."""
    some = [rows.test[number] for number in range(min(sentences, len(rows.test)))]
    texts = [
        run.task.features(run.task.asked(row["source"], run.settings.task), run.parts, run.settings.task)[SOURCE]
        for row in some
    ]
    batches, back = ordered([len(text) for text in texts], run.settings.training.batch_tokens)
    return [[texts[number] for number in batch] for batch in batches], back.tolist(), len(texts)


def bleu(run: Run, written: Sequence[Sequence[int]], rows: Corpus, count: int) -> float:
    """Return BLEU of translations in the order of the test side, as sacreBLEU has it where case does not count."""
    decoded = [run.parts.target.decode(numbers) for numbers in written]  # type: ignore[attr-defined]
    right = [rows.test[number]["target"] for number in range(count)]
    return float(BLEU(lowercase=True).corpus_score(decoded, [right]).score)


def print_memory(data: Path, console: Console) -> None:
    """Print by how much the peak of a process rises in its first updates."""
    console.print("\nmemory\n| | + MB in an update |\n|---|---:|")
    for name in LEARN:
        try:
            risen = peak_megabytes("benchmarks.translation", "--data", str(data), "--memory-of", name)
        except subprocess.CalledProcessError:
            console.print(f"| {name} | none: it is not installed, or failed |")
            continue
        console.print(f"| {name} | {risen:,.0f} |")


def own_memory(name: str, rows: Corpus) -> None:
    """Print by how much the peak of this process rises in updates."""
    run, batches = fresh(rows, settings_here())
    print(risen(LEARN[name](run), batches, run.settings.training))


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of Multi30k's raw files")
    parser.add_argument("--run", type=Path, help="a run whose weights decode; default: trained for some minutes")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long, where no run is given")
    parser.add_argument("--only", default="", help="the tables whose names begin so")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long all candidates of a table may run")
    parser.add_argument("--sentences", type=int, default=1000, help="of the test side, to decode")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print the tables."""
    given = options()
    torch.set_num_threads(given.threads)
    rows = corpus(given.data)
    if given.memory_of:
        own_memory(given.memory_of, rows)
        return
    console = Console(width=160, highlight=False, markup=False)
    console.print(machine())
    tables: dict[str, Callable[[], None]] = {
        "training": lambda: print_training(rows, given.seconds, console),
        "loop": lambda: print_loop(rows, given.seconds, console),
        "decoding": lambda: decoding(given, rows, console),
        "memory": lambda: print_memory(given.data, console),
    }
    for name, print_table in tables.items():
        if name.startswith(given.only):
            print_table()


def decoding(given: argparse.Namespace, rows: Corpus, console: Console) -> None:
    """Print the tables of decoding, with a run's weights or with those of a short training."""
    if given.run:
        run = load_run(given.run)
        print_decoding(run, rows, given.sentences, given.threads, given.seconds, console)
        return
    short = settings_here(f"minutes={given.minutes}", "accumulate=1", "warmup=50", "average=0", "keep=0")
    with tempfile.TemporaryDirectory() as place:
        run = trained(short, rows, Path(place) / "run")
        print_decoding(run, rows, given.sentences, given.threads, given.seconds, console)


if __name__ == "__main__":
    main()
