"""Reading a text with a model that is watched, and the report on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from regard.cli.differing import differing
from regard.cli.effect import Asked, Run, answering, that_matter, told
from regard.cli.inputs import encoded, told_tokens, written
from regard.cli.model import TextModel
from regard.cli.request import Request
from regard.cli.room import kept_of
from regard.cli.words import check_words
from regard.errors import InputError
from regard.reports.panels import Axis
from regard.reports.report import Report, report
from regard.watch.change.changing import change
from regard.watch.watching import watch

Say = Callable[[str], None]


def read_and_watch(loaded: TextModel, request: Request, say: Say) -> Report:
    """Run a model over a text and return the report on what its heads attended to.

    Args:
        loaded: the model and its tokenizer.
        request: what it reads and what is asked of that.
        say: told what is being done, for progress.

    Raises:
        InputError: text and model do not fit together, or the model shows no attention.
        ReportError: there is no such layer or head.
    """
    source, inputs = encoded(loaded, request)
    if not loaded.has_encoder_and_decoder:
        check_words("--pin", request.pins, source)
    model = loaded.model if request.asked is None and not request.heads_that_matter else answering(loaded)
    keeping, unkept = kept_of(loaded, len(source.groups), request)
    text = _Text(loaded, model, source, inputs, request, keeping, unkept, say)
    with torch.no_grad():
        run, said, before = (text.run(), (), None) if request.asked is None else text.changed(request.asked)
    if run.target is not None:
        check_words("--pin", request.pins, source, run.target)
    if request.heads_that_matter:
        said = (*said, that_matter(model, {**inputs, **run.decoder}, run.output, say))
    say("putting words together")
    shown = text.report(run, str(request.asked or ""), said)
    if before is not None:
        shown = _beside(shown, text.report(before, "unchanged", ("The maps are those of the unchanged run.",)))
    if request.check is None:
        return shown
    told_inputs = {**inputs, **run.decoder, **run.labels}
    found, statement = request.check.of(loaded, told_inputs, source, run.seen, shown.groups, say)
    return replace(shown, facts=(*shown.facts, statement), check=found)


def read_beside(loaded: TextModel, against: TextModel, request: Request, say: Say) -> Report:
    """Run two models over a text and return the report on both, the head that is shown first the same in both.

    Args:
        loaded: the first model, which the request is made for.
        against: the second; it is not asked for what it does not have: a decoder's side, or words to pin.
        request: what they read and what is asked of that.
        say: told what is being done, for progress.

    Raises:
        InputError: text and one of the models do not fit together, or a model shows no attention.
        ReportError: there is no such layer or head.
    """
    first = read_and_watch(loaded, request, lambda doing: say(f"{loaded.name}: {doing}"))
    target = request.target if against.has_encoder_and_decoder else None
    wanted = replace(request, target=target, layer=None, head=None, pins=())
    second = read_and_watch(against, wanted, lambda doing: say(f"{against.name}: {doing}"))
    words = {word for section in second.sections for word in section.queries.words}
    return _beside(first, replace(second, pins=tuple(word for word in request.pins if word in words)))


@dataclass(frozen=True)
class _Text:
    """A text that a model is about to read.

    Attributes:
        loaded: the model and its tokenizer.
        model: the model, with the head that answers where that is needed.
        source: the words of the text.
        inputs: what the model takes in for them.
        request: what is asked.
        keeping: what to ask of `watch`.
        unkept: sentences on what that does not keep.
        say: told what is being done.
    """

    loaded: TextModel
    model: Any
    source: Axis
    inputs: dict[str, Any]
    request: Request
    keeping: dict[str, Any]
    unkept: tuple[str, ...]
    say: Say

    def run(self, *, looking: bool = True) -> Run:
        """Return one run of the model as it is now, looked into or not."""
        self.say("running the model")
        wrote, target, decoder, labels = written(self.loaded, self.inputs, self.request)
        keeping = self.keeping if looking else {"want": ()}
        with watch(self.model, **keeping, on_site=lambda site: self.say(f"looked into {site.name}")) as seen:
            output = self.model(**self.inputs, **decoder)
        if not seen.sites:
            raise InputError(f"{self.loaded.name} shows no attention.\n{seen.coverage}")
        return Run(seen, output, wrote, target, decoder, labels)

    def changed(self, asked: Asked) -> tuple[Run, tuple[str, ...], Run | None]:
        """Return the run with changes, sentences on what they do, and the unchanged run if it is to be shown."""
        changes = asked.changes(self.loaded, self.source)
        before = self.run(looking=self.request.beside)
        asked.check(before.seen)
        with change(self.model, *changes):
            after = self.run()
        said = told(self.loaded, before, after, self.request.target)
        return after, said, before if self.request.beside else None

    def report(self, run: Run, what: str, said: Sequence[str]) -> Report:
        """Return the report on a run; what tells it from another stands first in its title."""
        title = f"{what}: what {self.loaded.name} attended to" if what else f"what {self.loaded.name} attended to"
        words = {word for axis in (self.source, run.target) if axis is not None for word in axis.words}
        return report(
            run.seen,
            self.source,
            target=run.target,
            title=title[0].upper() + title[1:],
            facts=(_about(self.loaded, self.request, run, self.source), *self.unkept, *said),
            layer=self.request.layer,
            head=self.request.head,
            pins=[word for word in self.request.pins if word in words],
        )


def _beside(first: Report, second: Report) -> Report:
    """Return a report on two runs that says which heads differ most."""
    about, *others = first.facts
    return replace(first, facts=(about, *differing(first, second), *others)).beside(second)


def _about(loaded: TextModel, request: Request, run: Run, source: Axis) -> str:
    """Return what the model is and what it read."""
    sides = f"{len(source.words)} words, {told_tokens(loaded, request.text, len(source.groups), request)}"
    if run.text is not None and run.target is not None:
        told = told_tokens(loaded, run.text, len(run.target.groups), request, as_target=True)
        sides += f"; decoder: {len(run.target.words)} words, {told}"
    heads = sum(site.sizes.heads for site in run.seen.sites)
    return f"{type(loaded.model).__name__}: {len(run.seen.sites)} attention calls, {heads} heads; {sides}"
