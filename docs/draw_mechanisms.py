"""Draw the pictures of docs/mechanisms anew, each by the mechanism it shows: `python docs/draw_mechanisms.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import regard
from regard import Attention, Mask
from regard.mechanisms.grid import Grid
from regard.shapes import Sizes

IMAGES = Path(__file__).parent / "images" / "mechanisms"
POSITIONS = 24
DARK, LIGHT = "#0c1e52", "#b0a058"

# How many queries a drawn mask has, where it is not POSITIONS, and which of the batch items is drawn.
MASKS: dict[str, tuple[Mask, int, int]] = {
    "full": (regard.full(), POSITIONS, 0),
    "causal": (regard.causal(), POSITIONS, 0),
    "window": (regard.causal() & regard.window(5), POSITIONS, 0),
    "dilated": (regard.dilated(3, dilation=3), POSITIONS, 0),
    "prefix": (regard.prefix(8), POSITIONS, 0),
    "documents": (regard.causal() & regard.packed([0, 7, 17, 24]), POSITIONS, 0),
    "padding": (regard.padding([24, 15]), POSITIONS, 1),
    "strided": (regard.strided(5), POSITIONS, 0),
    "fixed": (regard.fixed(6, summaries=1), POSITIONS, 0),
    "global-tokens": (regard.window(2) | regard.global_tokens(2), POSITIONS, 0),
    "random-blocks": (regard.window(2) | regard.random_blocks(3, 2, seed=1), POSITIONS, 0),
    "neighbourhood": (regard.neighbourhood(6, 6, 1), 36, 0),
    "mask-mod": (regard.causal() & ~regard.window(3), POSITIONS, 0),
}


def vectors() -> tuple[Tensor, Tensor]:
    """Return queries and keys (1, 1, N, 8): three runs of similar positions, longer keys towards the end."""
    generator = torch.Generator().manual_seed(3)
    topic = 2.0 * torch.eye(8)[:3].repeat_interleave(POSITIONS // 3, 0)
    query, key = (topic + 0.6 * torch.randn(POSITIONS, 8, generator=generator) for _ in range(2))
    return query[None, None], (key * torch.linspace(0.5, 1.5, POSITIONS).unsqueeze(-1))[None, None]


def weights(mechanism: Attention) -> Tensor:
    """Return the weights (N, N) of a mechanism: what it makes of values that are the identity."""
    query, key = vectors()
    return regard.attend(query, key, torch.eye(POSITIONS)[None, None], mechanism).output[0, 0].detach()


def row(scores: Tensor, weigh: Any) -> Tensor:
    """Return what a weighing makes of rows of scores (rows, keys)."""
    rows, keys = scores.shape
    query, key = torch.ones(rows, 1)[None, None], torch.zeros(keys, 1)[None, None]
    mechanism = Attention(bias=scores, weigh=weigh)
    return regard.attend(query, key, torch.eye(keys)[None, None], mechanism).output[0, 0]


def matrix(axes: Any, shown: Tensor, title: str, top: float | None = None) -> None:
    """Draw a matrix of queries x keys, dark for much."""
    axes.imshow(shown.numpy(), cmap="Blues", vmin=0, vmax=top, interpolation="nearest")
    axes.set_title(title, fontsize=8)
    axes.set_xlabel("key", fontsize=8)
    axes.set_ylabel("query", fontsize=8)
    axes.tick_params(labelsize=7)


def lines(axes: Any, x: Tensor, drawn: dict[str, Tensor], xlabel: str, ylabel: str) -> None:
    """Draw lines over one axis, the first one dark."""
    for (label, y), color, style in zip(drawn.items(), (DARK, LIGHT, "#7a7a7a"), ("-", "--", ":"), strict=False):
        axes.plot(x.numpy(), y.numpy(), style, color=color, label=label, linewidth=1.6)
    axes.set_xlabel(xlabel, fontsize=8)
    axes.set_ylabel(ylabel, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def beside_plain(name: str, mechanism: Attention) -> Callable[[Any], None]:
    """Return what draws a mechanism's weights beside those of plain attention."""

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        matrix(left, weights(Attention()).sqrt(), "softmax, scaled dot", 1)
        matrix(right, weights(mechanism).sqrt(), name, 1)
        right.set_ylabel("")

    return draw


def drawn_mask(mask: Mask, positions: int, item: int) -> Callable[[Any], None]:
    """Return what draws a mask as `Mask.draw` pools it."""

    def draw(figure: Any) -> None:
        matrix(figure.subplots(), mask.draw(positions, batch=item).share, mask.kind, 1)

    return draw


def dot(figure: Any) -> None:
    """Draw scores beside the weights that softmax makes of them."""
    query, key = vectors()
    left, right = figure.subplots(1, 2)
    scores = (query @ key.transpose(-1, -2))[0, 0] / 8**0.5
    matrix(left, scores - scores.min(), "scores")
    matrix(right, weights(Attention()).sqrt(), "weights")
    right.set_ylabel("")


def additive() -> Attention:
    """Return attention by an additive score, trained for a moment to attend to a query's own run of positions."""
    generator = torch.Generator().manual_seed(0)
    W, U, v = (torch.randn(size, generator=generator) / 3 for size in ((16, 8), (16, 8), (16,)))
    own = torch.eye(3).repeat_interleave(POSITIONS // 3, 0).repeat_interleave(POSITIONS // 3, 1).bool()
    query, key = vectors()
    optimiser = torch.optim.Adam([each.requires_grad_() for each in (W, U, v)], lr=0.05)
    for _ in range(60):
        made = regard.attend(query, key, own.float()[None, None], Attention(score=regard.additive(W, U, v))).output
        optimiser.zero_grad()
        (-made[0, 0][own].log().mean()).backward()
        optimiser.step()
    return Attention(score=regard.additive(W.detach(), U.detach(), v.detach()))


def bilinear() -> Attention:
    """Return attention by a bilinear score that takes each run of positions to the next."""
    run = torch.eye(8)[:3]
    return Attention(score=regard.bilinear(0.8 * run.T @ run.roll(-1, 0)))


def relative_buckets(figure: Any) -> None:
    """Draw the bucket of each distance, read off a table that holds the numbers of the buckets."""
    table, sizes = torch.arange(32.0).unsqueeze(-1), Sizes.of(401, None, 1, 1)
    grid = Grid.whole(sizes, torch.device("cpu"))
    both, back = (regard.relative_buckets(table, bidirectional=two).on(grid)[0, 200] for two in (True, False))
    drawn = {"bidirectional": both, "causal": back}
    lines(figure.subplots(), torch.arange(-200.0, 201), drawn, "key position minus query position", "bucket")


def modified(scores: Tensor, modifier: Any) -> Tensor:
    """Return what a modifier makes of scores: the log-sum-exp over one key."""
    query, one = scores.view(1, 1, -1, 1), torch.ones(1, 1, 1, 1)
    lse = regard.attend(query, one, one, Attention(scale=1.0, modify=modifier), want=("lse",)).lse
    assert lse is not None
    return lse.flatten()


def soft_cap(figure: Any) -> None:
    """Draw capped scores against scores."""
    score = torch.linspace(-100, 100, 201)
    drawn = {f"cap {cap}": modified(score, regard.soft_cap(cap)) for cap in (50, 20)}
    lines(figure.subplots(), score, {**drawn, "no cap": score}, "score", "capped score")


def of_two(named: dict[str, Any]) -> Callable[[Any], None]:
    """Return what draws the weight of one of two keys by its score, the other's being 0."""

    def draw(figure: Any) -> None:
        score = torch.linspace(-4, 4, 401)
        pairs = torch.stack([score, torch.zeros_like(score)], -1)
        drawn = {label: row(pairs, weigh)[:, 0] for label, weigh in named.items()}
        lines(figure.subplots(), score, drawn, "score of a key; the other key's is 0", "its weight")

    return draw


def softmax(figure: Any) -> None:
    """Draw softmax over two keys, with and without a sink."""
    of_two({"softmax()": regard.softmax(), "softmax(sink=1.0)": regard.softmax(1.0)})(figure)


def top_k(figure: Any) -> None:
    """Draw the weights of eight keys, all and the three largest."""
    scores = torch.tensor([[0.4, 1.9, 0.9, 2.4, 0.1, 1.5, 1.2, 0.6]])
    axes, place = figure.subplots(), torch.arange(8)
    for label, weigh, color, shift in (
        ("softmax()", regard.softmax(), LIGHT, 0.2),
        ("top_k(3)", regard.top_k(3), DARK, -0.2),
    ):
        axes.bar((place + shift).numpy(), row(scores, weigh)[0].numpy(), 0.4, color=color, label=label)
    axes.set_xlabel("key", fontsize=8)
    axes.set_ylabel("weight", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def hard(figure: Any) -> None:
    """Draw the keys that are chosen, the largest beside sampled ones."""
    left, right = figure.subplots(1, 2)
    matrix(left, weights(Attention(weigh=regard.hard())), "hard()", 1)
    matrix(right, weights(Attention(weigh=regard.hard(sample=True), seed=0)), "hard(sample=True)", 1)
    right.set_ylabel("")


def halves(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    """Return a score less a penalty between the halves of the text."""
    return torch.where((q < POSITIONS // 2) == (k < POSITIONS // 2), score, score - 2.0)


def table() -> Tensor:
    """Return a bias (N, N) that favours positions of the same remainder by four."""
    place = torch.arange(POSITIONS)
    return 2.5 * (place.unsqueeze(-1) % 4 == place % 4).float()


PICTURES: dict[str, Callable[[Any], None]] = {
    "dot": dot,
    "additive": lambda figure: beside_plain("additive, trained", additive())(figure),
    "bilinear": beside_plain("bilinear", bilinear()),
    "cosine": beside_plain("cosine, temperature 0.2", Attention(score=regard.cosine(0.2))),
    "bias": beside_plain("with a bias tensor", Attention(bias=table())),
    "alibi": beside_plain("with ALiBi, slope 1/4", Attention(bias=regard.alibi(torch.tensor([0.25])))),
    "relative-buckets": relative_buckets,
    "soft-cap": soft_cap,
    "score-mod": beside_plain("with score_mod", Attention(modify=halves)),
    **{name: drawn_mask(*drawn) for name, drawn in MASKS.items()},
    "softmax": softmax,
    "sparsemax": of_two({"sparsemax()": regard.sparsemax(), "softmax()": regard.softmax()}),
    "entmax": of_two(
        {"entmax(1.5)": regard.entmax(), "sparsemax()": regard.sparsemax(), "softmax()": regard.softmax()}
    ),
    "sigmoid": of_two({"sigmoid()": regard.sigmoid(), "sigmoid(bias=0.0)": regard.sigmoid(0.0)}),
    "top-k": top_k,
    "hard": hard,
    "dropout": beside_plain("dropout=0.4", Attention(dropout=0.4, seed=0)),
}


def save(name: str) -> None:
    """Draw one picture, 400 x 300."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3), layout="constrained")
    PICTURES[name](figure)
    figure.savefig(IMAGES / f"{name}.png", dpi=100, metadata={"Software": None}, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    for each in PICTURES:
        save(each)
