"""What whole models cost, against the same models in other libraries, and linear attention against softmax.

    python -m benchmarks.models                  every table
    python -m benchmarks.models --only decode    the tables whose names begin so
    python -m benchmarks.models --longest 16384  linear attention up to so many tokens

transformers computes with the very same weights, which go through its files; x-transformers with weights of its own
in the same shapes. Candidates take turns in one process; ratios are medians of those of single rounds.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from statistics import median
from typing import Any

import torch
import transformers
import x_transformers
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

import regard
from benchmarks.measure import machine, turns
from regard.models import from_pretrained, generate

KINDS = ("GPT-2", "Llama")
VOCABULARY, WIDTH, LAYERS, HEADS, POSITIONS = 8192, 512, 6, 8, 1024
PROMPT, WRITTEN = 64, 64
PAIRS_ALIKE = 1e-3


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: what is computed.
        size: batch and tokens.
        runs: ours under "regard", and the peers'.
        tokens: how many tokens a run writes, for tables of tokens a second; else 0.
    """

    name: str
    size: str
    runs: Mapping[str, Callable[[], object]]
    tokens: int = 0


@dataclass(frozen=True)
class Models:
    """The same model three times, in evaluation."""

    ours: Any
    hugging_face: Any
    x: Any


def config_of(kind: str) -> transformers.PretrainedConfig:
    """Return the config of a small model of a kind, without dropout."""
    common: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": None, "eos_token_id": None}
    if kind == "GPT-2":
        common |= {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": POSITIONS}
        return transformers.GPT2Config(**common, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    common |= {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    return transformers.LlamaConfig(**common, intermediate_size=3 * WIDTH, max_position_embeddings=POSITIONS)


def x_model(kind: str) -> nn.Module:
    """Return a model of x-transformers in the shapes of a kind."""
    common: dict[str, Any] = {
        "dim": WIDTH,
        "depth": LAYERS,
        "heads": HEADS,
        "attn_dim_head": WIDTH // HEADS,
        "attn_flash": True,
    }
    if kind == "GPT-2":
        layers = x_transformers.Decoder(**common, ff_custom_activation=nn.GELU(approximate="tanh"))
    else:
        layers = x_transformers.Decoder(
            **common,
            rotary_pos_emb=True,
            use_rmsnorm=True,
            ff_glu=True,
            ff_swish=True,
            ff_no_bias=True,
            ff_mult=3,
        )
    model: nn.Module = x_transformers.TransformerWrapper(
        num_tokens=VOCABULARY,
        max_seq_len=POSITIONS,
        attn_layers=layers,
        use_abs_pos_emb=kind == "GPT-2",
        tie_embedding=kind == "GPT-2",
    )
    return model.eval()


@cache
def models(kind: str) -> Models:
    """Return the three models of a kind, if ours gives the logits of transformers'."""
    torch.manual_seed(0)
    config = config_of(kind)
    theirs = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = from_pretrained(folder)
    tokens = words(2, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits, atol=PAIRS_ALIKE, rtol=PAIRS_ALIKE)
    return Models(ours, theirs, x_model(kind))


def words(batch: int, length: int) -> Tensor:
    """Return tokens (batch, length)."""
    return torch.randint(VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(0))


def prefill() -> Iterator[Row]:
    """Yield reading a prompt: the logits of every token, and those of the last one with caches filled."""
    for kind in KINDS:
        three = models(kind)
        for batch, length in ((1, 128), (1, 512), (4, 128)):
            tokens = words(batch, length)
            read = {
                "regard": partial(three.ours, tokens),
                "transformers": partial(three.hugging_face, tokens, use_cache=False),
                "x-transformers": partial(three.x, tokens),
            }
            ungraded = {way: torch.no_grad()(run) for way, run in read.items()}
            yield Row(f"{kind}, every token", f"{batch} x {length}", ungraded)
            yield Row(f"{kind}, first token written", f"{batch} x {length}", writers(three, tokens, 1))


def decode() -> Iterator[Row]:
    """Yield writing greedily with a cache."""
    for kind in KINDS:
        for batch in (1, 4):
            runs = writers(models(kind), words(batch, PROMPT), WRITTEN)
            yield Row(kind, f"{batch} x {PROMPT} + {WRITTEN}", runs, batch * WRITTEN)


def writers(three: Models, tokens: Tensor, count: int) -> dict[str, Callable[[], object]]:
    """Return how each library writes so many tokens, the most probable ones."""
    wrapped = x_transformers.AutoregressiveWrapper(three.x)
    exactly = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False, "pad_token_id": 0}
    attended = torch.ones_like(tokens)
    return {
        "regard": lambda: generate(three.ours, tokens, length=count),
        "transformers": lambda: three.hugging_face.generate(tokens, attention_mask=attended, **exactly),
        "transformers, plain loop": lambda: plain_loop(three.hugging_face, tokens, count),
        "x-transformers": lambda: wrapped.generate(tokens, count, temperature=0.0, cache_kv=True),
    }


@torch.no_grad()
def plain_loop(model: Any, tokens: Tensor, count: int) -> Tensor:
    """Write with a model of transformers and its cache, without what its `generate` adds."""
    cache, written = transformers.DynamicCache(config=model.config), []
    for _ in range(count):
        tokens = model(tokens, past_key_values=cache, logits_to_keep=1).logits[:, -1].argmax(-1, keepdim=True)
        written.append(tokens)
    return torch.cat(written, 1)


def train() -> Iterator[Row]:
    """Yield forward, loss and backward."""
    for kind in KINDS:
        three = models(kind)
        for batch, length in ((1, 512), (8, 64)):
            given = words(batch, length + 1)
            steps = {
                "regard": training(three.ours, given),
                "transformers": training(three.hugging_face, given),
                "x-transformers": training(three.x, given),
            }
            yield Row(kind, f"{batch} x {length}", steps)


def training(model: nn.Module, given: Tensor) -> Callable[[], object]:
    """Return one step of training without the update."""

    def step() -> None:
        model.train()
        logits = model(given[:, :-1])
        logits = logits if isinstance(logits, Tensor) else logits.logits
        F.cross_entropy(logits.flatten(0, 1), given[:, 1:].flatten()).backward()
        model.zero_grad(set_to_none=True)
        model.eval()

    return step


def linear(longest: int) -> Iterator[Row]:
    """Yield chunked linear attention against causal softmax by torch's fused kernel."""
    length = 1024
    while length <= longest:
        for backward in (False, True):
            generator = torch.Generator().manual_seed(0)
            given = [
                torch.randn(1, HEADS, length, WIDTH // HEADS, generator=generator).requires_grad_(backward)
                for _ in range(3)
            ]
            runs = {
                "regard": passed(linearly, given, backward),
                "causal F.sdpa": passed(partial(F.scaled_dot_product_attention, is_causal=True), given, backward),
            }
            yield Row("forward + backward" if backward else "forward", f"{length:,}", runs)
        length *= 2


def linearly(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return causal linear attention."""
    return regard.attend(query, key, value, regard.linear()).output


def passed(call: Callable[..., Tensor], given: list[Tensor], backward: bool) -> Callable[[], object]:
    """Return a run of forward, or of forward and backward."""
    if not backward:
        return partial(call, *given)
    return lambda: torch.autograd.grad(call(*given).sum(), given)


def print_table(name: str, rows: Iterator[Row], seconds: float, console: Console) -> None:
    """Measure and print the rows of a table as they come."""
    console.print(f"\n{name}\n| case | size | regard, ms | peers, ms | regard / peer | tokens a second / peer's |")
    console.print("|---|---:|---:|---|---|---|")
    for row in rows:
        rounds = turns(row.runs, seconds)
        times = {way: median(each[way] for each in rounds) * 1e3 for way in row.runs}
        ratios = [median(each["regard"] / each[way] for each in rounds) for way in row.runs if way != "regard"]
        peers = ", ".join(f"{way} {times[way]:,.1f}" for way in row.runs if way != "regard")
        slower = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        faster = ", ".join(f"{1 / ratio:.2f}" for ratio in ratios) if row.tokens else ""
        console.print(f"| {row.name} | {row.size} | {times['regard']:,.1f} | {peers} | {slower} | {faster} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="the tables whose names begin so")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long all candidates of a row may run")
    parser.add_argument("--longest", type=int, default=65536, help="of linear attention, in tokens")
    given = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    tables: dict[str, Callable[[], Iterator[Row]]] = {
        "prefill": prefill,
        "decode": decode,
        "train": train,
        "linear": lambda: linear(given.longest),
    }
    console = Console(width=240, highlight=False, markup=False)
    console.print(machine())
    for name, rows in tables.items():
        if name.startswith(given.only):
            print_table(name, rows(), given.seconds, console)


if __name__ == "__main__":
    main()
