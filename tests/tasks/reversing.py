"""A tiny task for tests of training: digits are learned backwards; as a program, in a process of its own."""

import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from regard.errors import TaskError
from regard.tasks import Answer, Scores, Task, Total

LONGEST = 4
PAD = 10


@dataclass(frozen=True)
class Shown:
    """Stands in for a report: what it was asked to show."""

    title: str
    row: dict[str, str]
    answer: Answer


@dataclass(frozen=True)
class ReversingSettings:
    """Sizes.

    Attributes:
        width: of the model.
        dropout: of its inner vectors.
    """

    width: int = 16
    dropout: float = 0.1


class Digits:
    """Parts that say how often each digit was seen."""

    def __init__(self, counts):
        self.counts = counts

    def save(self, folder):
        (folder / "counts.json").write_text(json.dumps(self.counts))


class Model(nn.Module):
    """Digits at fixed places, to digits at fixed places; the table of digits is used at both ends."""

    def __init__(self, width, dropout):
        super().__init__()
        self.table = nn.Embedding(11, width)
        self.inner = nn.Linear(LONGEST * width, LONGEST * width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, 11)
        self.head.weight = self.table.weight
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, digits):
        vectors = self.dropout(self.table(digits)).flatten(1)
        return self.head(self.norm(self.inner(vectors).view(len(digits), LONGEST, -1)))


class Reversing(Task):
    name = "reversing"
    about = "Digits are learned backwards."
    needs = "Nothing."
    metrics = ("exact",)
    settings = ReversingSettings

    def columns(self, settings):
        return ("source", "target")

    def own_rows(self, settings, seed):
        return rows(200, seed), rows(40, seed + 1)

    def fit(self, rows, settings):
        text = "".join(row["source"] for row in rows)
        return Digits([text.count(str(digit)) for digit in range(10)])

    def load_parts(self, folder):
        return Digits(json.loads((folder / "counts.json").read_text()))

    def features(self, row, parts, settings):
        return {name: [int(digit) for digit in row.get(name, "")] for name in ("source", "target")}

    def size(self, features):
        return len(features["source"])

    def build(self, parts, settings):
        return Model(settings.width, settings.dropout)

    def batch(self, items, parts):
        def padded(name):
            return torch.tensor([(each[name] + [PAD] * LONGEST)[:LONGEST] for each in items])

        return {"source": padded("source"), "target": padded("target")}

    def loss(self, model, batch, label_smoothing):
        logits, target = model(batch["source"]).flatten(0, 1), batch["target"].flatten()
        total = F.cross_entropy(logits, target, ignore_index=PAD, reduction="sum", label_smoothing=label_smoothing)
        return Total(total, int((target != PAD).sum()))

    def asked(self, line, settings):
        if not line.isdigit():
            raise TaskError(f"expected digits; got {line!r}")
        return {"source": line[:LONGEST]}

    def answer(self, model, items, parts, settings):
        device = next(model.parameters()).device
        found = model(self.batch(items, parts)["source"].to(device))[..., :PAD].log_softmax(-1).max(-1)
        answers = []
        for item, numbers, logs in zip(items, found.indices.tolist(), found.values.tolist(), strict=True):
            length = len(item["source"])
            text = "".join(map(str, numbers[:length]))
            answers.append(Answer(text, sum(logs[:length]), tuple(numbers[:length])))
        return answers

    def score(self, answers, rows, settings):
        right = [answer.text == row["target"] for answer, row in zip(answers, rows, strict=True)]
        return Scores({"exact": 100 * sum(right) / len(right)})

    def look(self, model, row, answer, parts, settings):
        return Shown(row["source"], row, answer)


def rows(count, seed):
    random_ = random.Random(seed)
    texts = ["".join(random_.choices("0123456789", k=random_.randint(1, LONGEST))) for _ in range(count)]
    return [{"source": text, "target": text[::-1]} for text in texts]


def train(folder, *sets, resume=False, force=False, valid=True, task=None, seed=0, console=None):
    """Train the task in this process."""
    from regard.tasks.settings import Settings
    from regard.tasks.training.fit import fit
    from regard.tasks.training.folder import RunFolder

    task = task or Reversing()
    small = ("batch_tokens=64", "warmup=10", "check_every=10", "updates=30", "rate=0.01", "check_rows=16")
    settings = Settings.read(task, None, (*small, *sets))
    inside = rows(40, seed + 1) if valid else None
    with RunFolder.take(folder, resume=resume, force=force) as taken:
        return fit(task, settings, rows(200, seed), inside, taken, console=console)


if __name__ == "__main__":
    import os
    import signal

    asked = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    # Where the tests run in the background, interrupts are ignored, and a child would ignore them too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    class Ending(Reversing):
        """The task, with a call for its loss in which something happens to the process."""

        calls = 0

        def loss(self, model, batch, label_smoothing):
            Ending.calls += 1
            if Ending.calls == asked.get("at") and os.environ.get("RANK", "0") == asked.get("rank", "0"):
                if "signal" not in asked:
                    raise RuntimeError("this process fails")
                os.kill(os.getpid(), getattr(signal, asked["signal"]))
            return super().loss(model, batch, label_smoothing)

    try:
        train(Path(asked["folder"]), *asked.get("sets", ()), resume=asked.get("resume", False), task=Ending())
    except KeyboardInterrupt:
        sys.exit(130)
