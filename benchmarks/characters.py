"""A decoder trained on the characters of a small corpus, with published settings, to a published loss.

    python -m benchmarks.characters PATH [--updates 2000] [--seed 1]

PATH is a text in UTF-8; the published loss is of "tiny Shakespeare" (1,115,394 characters), whose first nine tenths
train and whose last tenth validates. Settings and loss: nanoGPT's README, "I only have a macbook" (4 layers of 4
heads, 128 wide, 64 characters of context, 12 texts a batch, 2,000 updates, no dropout; a validation loss of 1.88).
The loss is measured on all of the validation side, in stretches of 64 characters.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import machine
from regard.models import gpt2

CONTEXT, BATCH, RATE, LEAST_RATE, WARM_UP = 64, 12, 1e-3, 1e-4, 100
PUBLISHED = 1.88


def main() -> None:
    options = _options()
    try:
        text = options.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        sys.exit(
            f"{options.path}: expected a text in UTF-8; got {wrong}. The published loss is of tiny Shakespeare"
        )
    if len(text) < 20 * CONTEXT:
        sys.exit(f"{options.path}: expected at least {20 * CONTEXT} characters; got {len(text)}")
    signs = sorted(set(text))
    number = {sign: place for place, sign in enumerate(signs)}
    numbers = torch.tensor([number[sign] for sign in text])
    train, valid = numbers.split([len(numbers) * 9 // 10, len(numbers) - len(numbers) * 9 // 10])
    torch.manual_seed(options.seed)
    model = gpt2(
        vocabulary=len(signs),
        positions=CONTEXT,
        width=128,
        layers=4,
        heads=4,
        dropout=0.0,
        embedding_dropout=0.0,
        attention_dropout=0.0,
    )
    print(f"{machine()}; {len(text):,} characters, {len(signs)} signs, seed {options.seed}")
    reached = trained(model, train, valid, options.updates)
    print(f"validation loss {reached:.3f} after {options.updates} updates; published after 2,000: {PUBLISHED}")


def trained(model: nn.Module, train: Tensor, valid: Tensor, updates: int) -> float:
    """Train a model, print its losses on the way, and return the last one of validation."""
    matrices = [each for each in model.parameters() if each.ndim > 1]
    others = [each for each in model.parameters() if each.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, RATE, betas=(0.9, 0.99))
    drawn, start, loss_of_all = torch.Generator().manual_seed(0), time.perf_counter(), math.inf
    print("| update | seconds | training loss | validation loss |\n|---:|---:|---:|---:|")
    for update in range(1, updates + 1):
        for group in optimizer.param_groups:
            group["lr"] = rate(update, updates)
        starts = torch.randint(len(train) - CONTEXT, (BATCH, 1), generator=drawn)
        texts = train[starts + torch.arange(CONTEXT + 1)]
        loss = F.cross_entropy(model(texts[:, :-1]).flatten(0, 1), texts[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if update % max(1, updates // 8) == 0 or update == updates:
            seconds, loss_of_all = time.perf_counter() - start, validated(model, valid)
            print(f"| {update:,} | {seconds:.0f} | {loss.item():.2f} | {loss_of_all:.3f} |", flush=True)
    return loss_of_all


def rate(update: int, updates: int) -> float:
    """Return the learning rate: rising from 0, then falling as half a cosine."""
    if update < WARM_UP:
        return RATE * update / WARM_UP
    done = (update - WARM_UP) / max(1, updates - WARM_UP)
    return LEAST_RATE + (RATE - LEAST_RATE) * (1 + math.cos(math.pi * done)) / 2


@torch.inference_mode()
def validated(model: nn.Module, valid: Tensor) -> float:
    """Return the mean loss of every character of the validation side, in stretches."""
    model.eval()
    count = (len(valid) - 1) // CONTEXT
    texts, answers = (valid[shift : shift + count * CONTEXT].view(count, CONTEXT) for shift in (0, 1))
    total = 0.0
    for some, after in zip(texts.split(256), answers.split(256), strict=True):
        total += F.cross_entropy(model(some).flatten(0, 1), after.flatten(), reduction="sum").item()
    model.train()
    return total / answers.numel()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="a text in UTF-8")
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
