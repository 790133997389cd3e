"""Linear attention: a state of fixed size that is written by keys and read by queries, in place of an n x n matrix.

One recurrence holds all kinds. A state S of D x Dv numbers a head fades by a gate g, takes in a value under its
key, and is read by the query:

    Sₜ = gₜ Sₜ₋₁ + kₜ uₜᵀ,    oₜ = Sₜᵀ qₜ,

where u = v, or, by the delta rule, u = β (v - (gₜ Sₜ₋₁)ᵀ k): only what the state does not yet say of the value.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from regard.errors import MechanismError, ShapeError
from regard.mechanisms.feature_maps import FeatureMap, elu_plus_one, positive_random_features
from regard.shapes import Sizes, broadcasts


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearAttention:
    """A kind of linear attention; `linear`, `performer`, `retention`, `gated_linear`, `delta_rule`, ... make them.

    Attributes:
        kind: its name in a word or two.
        features: what queries and keys become first; None: they stay as they are.
        log_decay: natural logarithm of the gates, at most 0: broadcastable to (B, H, N), or to (B, H, N, D) for a
            gate a channel of the keys; None: nothing fades. Above 0 the state grows without bound; that is not
            checked.
        beta: strength of the delta rule, 0 to 1 (2 with negative eigenvalues) for keys of length 1, broadcastable
            to (B, H, N); None: values are written as they are. Where beta times a key's squared length is above 2
            the state grows without bound; that is not checked.
        normalise: whether outputs are divided by the sum of weights, as softmax attention does.
        causal: whether queries see only keys up to their own; else all of them, which needs a plain state.
        scale: factor on queries; None: 1 with features, else 1 / sqrt(D).
        state: what earlier positions left, the `state` of what `attend` returned for them.
        real: which keys there are, booleans that broadcast to (B, H, Nk); the others write nothing and let nothing
            fade, as if they were cut away. None: all.
    """

    kind: str
    features: FeatureMap | None = None
    log_decay: Tensor | None = None
    beta: Tensor | None = None
    normalise: bool = False
    causal: bool = True
    scale: float | None = None
    state: Tensor | None = None
    real: Tensor | None = None

    def __post_init__(self) -> None:
        given = ("log_decay", self.log_decay), ("beta", self.beta), ("state", self.state), ("real", self.real)
        for name, tensor in given:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise MechanismError(f"{self.kind}: expected {name} as a tensor; got {tensor!r}")
        if self.real is not None and self.real.dtype != torch.bool:
            raise MechanismError(f"{self.kind}: expected real as booleans; got {self.real.dtype}")
        if self.features is not None and not callable(self.features):
            raise MechanismError(f"{self.kind}: expected features as a function of a tensor; got {self.features!r}")
        if not self.causal and not (self.log_decay is None and self.beta is None):
            raise MechanismError(f"{self.kind}: expected causal=True; what fades or corrects has an order")
        if self.normalise and self.beta is not None:
            raise MechanismError(f"{self.kind}: expected normalise=False; corrected values are no weighted mean")

    def after(self, state: Tensor) -> "LinearAttention":
        """Return the same mechanism with positions before the first, of which only this state is left."""
        return replace(self, state=state)

    def among(self, real: Tensor) -> "LinearAttention":
        """Return the same mechanism where only some keys are there: booleans that broadcast to (B, H, Nk)."""
        return replace(self, real=real)

    def check(self, sizes: Sizes) -> None:
        """Raise ShapeError where gates, strengths or real do not fit a call of these sizes."""
        steps = (sizes.batch, sizes.heads, sizes.keys)
        for name, tensor, wanted in (
            ("log_decay", self.log_decay, (steps, (*steps, sizes.width))),
            ("beta", self.beta, (steps,)),
            ("real", self.real, (steps,)),
        ):
            if tensor is not None and not any(broadcasts(tensor.shape, shape) for shape in wanted):
                heads = tensor.shape[1] if tensor.ndim >= 3 else 1
                told = "" if heads in (1, sizes.heads) else f", {heads} heads where queries have {sizes.heads}"
                raise ShapeError(
                    f"{self.kind}: expected {name} that broadcasts to {' or '.join(map(str, wanted))};"
                    f" got {tuple(tensor.shape)}{told}"
                )
        if self.causal and sizes.queries != sizes.keys:
            raise ShapeError(
                f"{self.kind}: expected as many queries as keys; got {sizes.queries} and {sizes.keys}. What came"
                " before is handed in as a state: mechanism.after(state)"
            )

    def __str__(self) -> str:
        return self.kind if self.causal else f"{self.kind}, both ways"


def linear(features: FeatureMap = elu_plus_one, *, causal: bool = True) -> LinearAttention:
    """Return attention whose weights are products of positive features, over their sum.

    Args:
        features: what queries and keys become first.
        causal: whether queries see only keys up to their own.

    Source: Katharopoulos et al. 2020, "Transformers are RNNs", equations 4 to 12.
    """
    return LinearAttention(kind="linear", features=features, normalise=True, causal=causal)


def performer(width: int, count: int = 256, *, seed: int = 0, causal: bool = True) -> LinearAttention:
    """Return linear attention that estimates softmax attention by positive random features.

    Args:
        width: width D of queries and keys.
        count: how many features.
        seed: what they are drawn from.
        causal: whether queries see only keys up to their own.

    Source: Choromanski et al. 2021, "Rethinking Attention with Performers".
    """
    features = positive_random_features(width, count, seed)
    return LinearAttention(kind=f"performer({count})", features=features, normalise=True, causal=causal)


def retention(heads: int) -> LinearAttention:
    """Return retention: a state that fades at a fixed pace a head, 1 - 2⁻⁵⁻ʰ.

    Args:
        heads: how many heads.

    Source: Sun et al. 2023, "Retentive Network", equations 5 to 8, without rotation and group norm, which belong to
    the layer around it.
    """
    if heads < 1:
        raise MechanismError(f"retention: expected at least one head; got {heads}")
    pace = torch.log1p(-torch.exp2(-5.0 - torch.arange(heads, dtype=torch.float64)))
    return LinearAttention(kind="retention", log_decay=pace.view(1, heads, 1))


def gated_linear(log_decay: Tensor) -> LinearAttention:
    """Return linear attention with gates that depend on the data.

    Args:
        log_decay: logarithm of the gates, at most 0 (not checked: above, the state grows without bound); (B, H, N),
            or (B, H, N, D) for a gate a channel.

    Source: Yang et al. 2024, "Gated Linear Attention Transformers with Hardware-Efficient Training", equation 3; a
    gate a head: Dao & Gu 2024, "Transformers are SSMs" (Mamba-2).
    """
    return LinearAttention(kind="gated linear", log_decay=log_decay)


def delta_rule(beta: Tensor) -> LinearAttention:
    """Return the delta rule: a key's value is corrected rather than added to.

    Args:
        beta: (B, H, N), how far, 0 to 1, or up to 2 to turn values round. Keys should have length 1: the state
            grows without bound where beta times a key's squared length is above 2, which is not checked.

    Source: Schlag et al. 2021, "Linear Transformers Are Secretly Fast Weight Programmers", equation 23; Yang et al.
    2024, "Parallelizing Linear Transformers with the Delta Rule over Sequence Length".
    """
    return LinearAttention(kind="delta rule", beta=beta)


def gated_delta_rule(beta: Tensor, log_decay: Tensor) -> LinearAttention:
    """Return the delta rule on a state that fades.

    Args:
        beta: (B, H, N), how far a value is corrected, 0 to 1, or up to 2, for keys of length 1; see `delta_rule`.
        log_decay: (B, H, N), logarithm of the gates, at most 0 (not checked: above, the state grows without bound).

    Source: Yang et al. 2025, "Gated Delta Networks", equation 10.
    """
    return LinearAttention(kind="gated delta rule", beta=beta, log_decay=log_decay)
