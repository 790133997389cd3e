"""Linear attention by words: the kinds whose gates are fixed, and those that make their gates of the input."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import LayerError
from regard.layers.naming.scores import Heads
from regard.mechanisms import linear as kinds
from regard.mechanisms.linear import LinearAttention

# Divides the logarithms of gates, so that fresh ones forget slowly; Yang et al. 2024, section 4.4.
_SLOWNESS = 16
_RANK = 16


class Gated(nn.Module):
    """Makes a linear attention of a layer's input (B, N, E), by gates and strengths that are projected from it.

    Args:
        heads: the heads of the layer.
        gates: "head", "channel" or None: what has a gate.
        corrects: whether keys correct what is stored, by the delta rule.
    """

    def __init__(self, heads: Heads, *, gates: str | None = None, corrects: bool = False) -> None:
        super().__init__()
        self.heads = heads.count
        self.gates: nn.Module | None = None
        if gates == "channel":  # by few numbers, as the paper has it
            widened = nn.Linear(_RANK, heads.count * heads.width)
            self.gates = nn.Sequential(nn.Linear(heads.input, _RANK, bias=False), widened)
        elif gates == "head":
            self.gates = nn.Linear(heads.input, heads.count)
        self.strength = nn.Linear(heads.input, heads.count) if corrects else None
        self.channels = gates == "channel"

    def forward(self, x: Tensor) -> LinearAttention:
        """Return the mechanism for an input (B, N, E)."""
        log_decay, beta = self._log_decay(x), None
        if self.strength is not None:
            beta = self.strength(x).sigmoid().transpose(1, 2)  # (B, H, N)
        return LinearAttention(
            kind=str(self), features=None if beta is None else unit_length, log_decay=log_decay, beta=beta
        )

    def _log_decay(self, x: Tensor) -> Tensor | None:
        """Return the logarithms of gates, (B, H, N) or (B, H, N, D)."""
        if self.gates is None:
            return None
        logarithms = F.logsigmoid(self.gates(x)) / _SLOWNESS
        if self.channels:
            logarithms = logarithms.unflatten(-1, (self.heads, -1))
        return logarithms.transpose(1, 2)

    def __str__(self) -> str:
        rule = "linear" if self.strength is None else "delta rule"
        return rule if self.gates is None else f"gated {rule}"


def unit_length(x: Tensor) -> Tensor:
    """Return features of length 1, as the delta rule wants its keys.

    Source: Yang et al. 2024, "Parallelizing Linear Transformers with the Delta Rule over Sequence Length".
    """
    return F.normalize(F.silu(x), dim=-1)


def linear(heads: Heads) -> LinearAttention:
    """Return linear attention with positive features."""
    return kinds.linear(causal=heads.causal)


def performer(heads: Heads, count: int = 256, seed: int = 0) -> LinearAttention:
    """Return linear attention that estimates softmax."""
    if not (isinstance(count, int) and isinstance(seed, int)):
        raise LayerError(f"expected whole numbers; got {count!r} and {seed!r}")
    return kinds.performer(heads.width, count, seed=seed, causal=heads.causal)


def retention(heads: Heads) -> LinearAttention:
    """Return retention."""
    return kinds.retention(heads.count)


def gated_linear(heads: Heads, channels: bool = True) -> Gated:
    """Return linear attention with a gate a channel, or a gate a head."""
    return Gated(heads, gates="channel" if channels else "head")


def delta_rule(heads: Heads) -> Gated:
    """Return the delta rule."""
    return Gated(heads, corrects=True)


def gated_delta_rule(heads: Heads) -> Gated:
    """Return the delta rule on a state that fades."""
    return Gated(heads, gates="head", corrects=True)


Makes = Callable[..., LinearAttention | Gated]

BOTH_WAYS: dict[str, Makes] = {"linear": linear, "performer": performer}
IN_ORDER: dict[str, Makes] = {
    "retention": retention,
    "gated_linear": gated_linear,
    "delta_rule": delta_rule,
    "gated_delta_rule": gated_delta_rule,
}
LINEAR = {**BOTH_WAYS, **IN_ORDER}
