"""Running a model over a corpus: chunk by chunk, resumable at any time, shared between processes."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from regard.errors import InputError, RegardError, WatchError
from regard.watch.gathering import gathered
from regard.watch.survey.corpus import Corpus, Entry, open_corpus
from regard.watch.survey.findings import Reading, Survey
from regard.watch.survey.processes import Processes, together
from regard.watch.survey.reader import Prepared, Reader
from regard.watch.survey.state import State, check_folder, forget, starting_point, state_path
from regard.watch.tally import WANT, Tally
from regard.watch.watching import watch

# Work is dealt out in chunks of this many documents, good and bad; within a chunk, documents of the same number of
# tokens run together, so that nothing is padded.
CHUNK = 64

# The state is saved about this often, in seconds; saving takes at most a twentieth of the time.
_SAVE_EVERY = 5.0


@dataclass(frozen=True)
class Progress:
    """How far a survey is, for people.

    Attributes:
        documents: how many this process has read.
        tokens: how many tokens they have.
        done: what share of the work of all processes is done, about.
    """

    documents: int
    tokens: int
    done: float


def survey(
    model: torch.nn.Module,
    tokenizer: Any,
    corpus: str | Path | Sequence[str],
    out: str | Path,
    *,
    field: str = "text",
    target_field: str | None = None,
    whole: bool = False,
    split: str | None = None,
    max_tokens: int | None = None,
    batch_size: int = 8,
    limit: int | None = None,
    strict: bool = False,
    resume: bool = False,
    force: bool = False,
    name: str | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Survey:
    """Run a text model over a corpus and return statistics of every head; the totals are kept in a folder.

    Interrupted or killed, it leaves its state there. Under `torchrun` the processes share the work, and what each
    returns is the same survey, bit for bit that of one process. Each process computes in one thread, since the last
    bits of a model's numbers depend on how many there are.

    Args:
        model: a text model of Hugging Face's library, in evaluation.
        tokenizer: its tokenizer.
        corpus: a file, folder or glob, a saved data set (see `docs/survey.md`), or a sequence of texts.
        out: the folder; made if need be.
        field: which field of .jsonl, .parquet and data sets holds the text.
        target_field: which field holds the decoder's text; without it, only the encoder of an encoder-decoder runs.
        whole: .txt: whether a file is one document; else each line is.
        split: which part of a saved dictionary of data sets.
        max_tokens: documents are cut off after this many; default: what the model takes, at most 2,048.
        batch_size: how many documents of the same number of tokens run together at most.
        limit: read the first this many documents only.
        strict: whether a line that cannot be read is an error; else it is counted and left out.
        resume: whether to continue what stands in the folder.
        force: whether to overwrite what stands in the folder.
        name: what to call the model; default: its class.
        on_progress: told how far it is after each step.

    Raises:
        InputError: corpus, folder or arguments cannot be used, or no document could be read.
        WatchError: the model shows no attention, or fails at a document.
    """
    folder = Path(out)
    if min(batch_size, 1 if limit is None else limit) < 1:
        raise InputError("batch size and limit: expected at least 1")
    with together() as processes:
        state: State | Survey | None = None
        error: RegardError | None = None
        try:
            check_folder(folder, resume=resume, force=force)
            read = open_corpus(corpus, field=field, target_field=target_field, whole=whole, split=split)
            reader = Reader.of(model, tokenizer, max_tokens, with_target=target_field is not None)
            settings = {
                "model": name or type(model).__name__,
                "model_fingerprint": _fingerprint(model),
                "corpus": read.name,
                "corpus_fingerprint": read.fingerprint,
                "field": field,
                "target_field": target_field,
                "whole": whole,
                "split": split,
                "max_tokens": reader.max_tokens,
                "batch_size": batch_size,
                "limit": limit,
            }
            state = starting_point(folder, settings, processes) if resume else State.new(settings, processes)
            folder.mkdir(parents=True, exist_ok=True)
        except RegardError as caught:
            error = caught
        except OSError as caught:
            error = InputError(f"--out: cannot make the folder {folder}: {caught.strerror or caught}")
        processes.agree(error)
        assert state is not None
        if processes.rank == 0 and (isinstance(state, Survey) or not resume):
            forget(folder)
        processes.agree(None)
        if isinstance(state, Survey):
            return state
        work = _Work(read, reader, batch_size, limit, strict, processes, state_path(folder, processes), on_progress)
        with _one_thread():
            return _finish(folder, work.run(state), processes)


def _finish(folder: Path, found: Survey, processes: Processes) -> Survey:
    """Add up what all processes found, and put the totals in place of the states."""
    parts = [Survey.unpacked(raw, "a survey")[0] for raw in gathered(found.packed())]
    total = sum(parts[1:], parts[0])
    error = None
    if not total.tally.documents:
        places = "".join(f"\n  {place}: {problem}" for _, place, problem in total.reading.places[:5])
        error = InputError(
            f"expected at least one document; {total.settings['corpus']} has none that can be read{places}"
        )
    elif processes.rank == 0:
        total.save(folder)
    if processes.rank == 0:
        forget(folder)
    processes.agree(error)
    return total


@dataclass(frozen=True, eq=False)
class _Work:
    """What one process does."""

    corpus: Corpus
    reader: Reader
    batch_size: int
    limit: int | None
    strict: bool
    processes: Processes
    path: Path
    on_progress: Callable[[Progress], None]

    def run(self, state: State) -> Survey:
        """Work through the chunks from a state on; save the state now and then, and whenever something stops it."""
        state.save(self.path)
        saved, pause = time.monotonic(), _SAVE_EVERY
        try:
            for number, chunk, done in self._chunks():
                if number < state.chunk:
                    continue
                if number > state.chunk:
                    state = replace(state, chunk=number, step=0)
                for after in self._steps(chunk, state):
                    state = after
                    self.on_progress(Progress(state.found.tally.documents, state.found.tally.queries, done))
                    if time.monotonic() - saved > pause:
                        start = time.monotonic()
                        state.save(self.path)
                        saved = time.monotonic()
                        pause = max(_SAVE_EVERY, 20 * (saved - start))
        except BaseException:
            self._leave(state)
            raise
        state.save(self.path)
        return state.found

    def _leave(self, state: State) -> None:
        """Keep what was found before something stopped the work; if that is nothing, leave no trace."""
        if state.found.tally.documents:
            state.save(self.path)
        else:
            self.path.unlink(missing_ok=True)

    def _chunks(self) -> Iterator[tuple[int, list[Entry], float]]:
        """Return the numbered chunks of this process, and what share of the work is done after each."""
        rank, size = self.processes.rank, self.processes.size
        for number, entries in groupby(self._limited(), lambda entry: entry.number // CHUNK):
            if number % size == rank:
                chunk = list(entries)
                yield number, chunk, chunk[-1].done

    def _limited(self) -> Iterator[Entry]:
        """Return the corpus up to as many documents as are asked for; without bad lines where they are errors."""
        documents = 0
        for entry in self.corpus:
            if self.strict and entry.problem:
                raise InputError(f"--strict: {entry.place} {entry.problem}")
            documents += entry.text is not None
            if self.limit is None:
                yield entry
                continue
            yield replace(entry, done=max(entry.done, documents / self.limit))
            if documents == self.limit:
                return

    def _steps(self, chunk: Sequence[Entry], state: State) -> Iterator[State]:
        """Return the state after each step of a chunk: the first reads it, the others run a batch each."""
        prepared, reading = self._prepared(chunk)
        batches = list(self._batches(prepared))
        if state.step == 0:
            state = State(replace(state.found, reading=state.found.reading + reading), state.chunk, 1)
            yield state
        for step, batch in enumerate(batches, 1):
            if step >= state.step:
                found = state.found
                tally = found.tally + self._watched(batch, found.tally)
                state = State(replace(found, tally=tally), state.chunk, step + 1)
                yield state

    def _prepared(self, chunk: Sequence[Entry]) -> tuple[list[Prepared], Reading]:
        """Return what the model will read of a chunk, and what became of its lines."""
        prepared, reading = [], Reading()
        for entry in chunk:
            problem = entry.problem
            if entry.text is not None:
                ready = self.reader.prepare(entry)
                if isinstance(ready, Prepared):
                    prepared.append(ready)
                    reading += Reading(truncated=int(ready.truncated), digest=_digest(entry))
                    continue
                problem = ready
                if self.strict:
                    raise InputError(f"--strict: {entry.place} {problem}")
            if problem:
                reading += Reading(bad={problem: 1}, places=((entry.number, entry.place, problem),))
            else:
                reading += Reading(blank=1)
        return prepared, reading

    def _batches(self, prepared: Sequence[Prepared]) -> Iterator[list[Prepared]]:
        """Return documents of the same sizes together, in an order that depends on the chunk alone."""
        for _, same in groupby(sorted(prepared, key=lambda p: (p.sizes, p.document.number)), lambda p: p.sizes):
            group = list(same)
            for start in range(0, len(group), self.batch_size):
                yield group[start : start + self.batch_size]

    def _watched(self, batch: Sequence[Prepared], beside: Tally) -> Tally:
        """Run a batch and return its tally."""
        where = (
            batch[0].document.place if len(batch) == 1 else f"{batch[0].document.place} or {len(batch) - 1} others"
        )
        try:
            with torch.no_grad(), watch(self.reader.model, want=WANT) as seen:
                self.reader.run(batch)
        except (RuntimeError, ValueError, IndexError) as error:
            if isinstance(error, RegardError):
                raise
            raise WatchError(f"the model failed at {where}: {error}. What was found before is kept") from error
        if not seen.sites:
            raise WatchError(f"the model shows no attention.\n{seen.coverage}")
        return Tally.of(seen, [each.document for each in batch], beside=beside)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fingerprint(model: torch.nn.Module) -> str:
    """Return what tells models and checkpoints apart: names, shapes and some of the numbers of all parameters."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        some = parameter.detach().flatten()[:: max(1, parameter.numel() // 64)][:64].double().cpu()
        digest.update(f"{name} {tuple(parameter.shape)}".encode() + some.numpy().tobytes())
    return digest.hexdigest()[:32]


def _digest(entry: Entry) -> int:
    content = f"{entry.number}\0{entry.text}\0{entry.target or ''}".encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:16], "little")
