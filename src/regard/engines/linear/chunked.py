"""The chunked form: matrix products within chunks of positions, a state handed from chunk to chunk; for training.

Within a chunk that begins with state S, with Γᵢⱼ the product of gates after j up to i and γᵢ that of all up to i,

    o = (q kᵀ ∘ Γ) u + γ q S,    S' = γ_C S + (Γ_C k)ᵀ u,

where u = v, or by the delta rule the solution of (I + β (k kᵀ ∘ Γ) below the diagonal) u = β (v - γ k S).

Source: Sun et al. 2023, equation 7; Yang et al. 2024 (delta rule), section 3; Yang et al. 2025, section 3.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from regard.engines.linear.steps import Steps

CHUNK = 64
# Gates a channel need a product of gates for each pair and channel: smaller chunks hold fewer of them.
CHUNK_OF_CHANNELS = 16


def chunked(steps: Steps, size: int | None = None) -> tuple[Tensor, Tensor]:
    """Return what queries read (B, H, N, E), and the state after the last position (B, H, F, E).

    Args:
        steps: the call.
        size: how many positions make a chunk. Default: CHUNK, or CHUNK_OF_CHANNELS for gates a channel.
    """
    count = steps.key.shape[2]
    if count == 0:
        return steps.value.new_zeros(steps.value.shape), steps.state
    channels = steps.log_decay is not None and steps.log_decay.shape[-1] > 1
    size = min(count, size or (CHUNK_OF_CHANNELS if channels else CHUNK))
    within = _within(steps, size)
    values, states, state = _walked(within, steps.state)
    output = within.weights @ values + within.query @ states
    return output.flatten(2, 3)[:, :, :count], state


def _walked(within: "_Within", state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Go from chunk to chunk: return what is written, the states before each chunk, and that after the last one."""
    # Taken apart once: a chunk indexed by itself would cost a gradient as large as all chunks.
    count = within.value.shape[2]
    fading: Sequence[Tensor | float] = [1.0] * count if within.fading is None else within.fading.unbind(2)
    states, written = [], []
    if within.expected is None:
        for faded, added in zip(fading, (within.key.mT @ within.value).unbind(2), strict=True):
            states.append(state)
            state = state * faded + added
        return within.value, torch.stack(states, 2), state
    parts = zip(fading, within.key.unbind(2), within.value.unbind(2), within.expected.unbind(2), strict=True)
    for faded, key, value, expected in parts:
        states.append(state)
        written.append(value - expected @ state)
        state = state * faded + key.mT @ written[-1]
    return torch.stack(written, 2), torch.stack(states, 2), state


@dataclass(frozen=True, eq=False)
class _Within:
    """All chunks, as (B, H, chunks, C, ...).

    Attributes:
        weights: (.., C, C), of each position's query on the values written in its chunk.
        query: (.., C, F), queries as they read the state before the chunk.
        key: (.., C, F), keys as they write into the state after it.
        value: (.., C, E), what is written if that state is zero.
        expected: (.., C, F), by the delta rule, what the state takes from what is written; else None.
        fading: (.., F or 1, 1), what is left of the state after a chunk; None: all.
    """

    weights: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    expected: Tensor | None
    fading: Tensor | None


def _within(steps: Steps, size: int) -> _Within:
    """Return what the chunks hold, all of them at once."""

    def parts(tensor: Tensor) -> Tensor:
        short = -tensor.shape[2] % size
        padded = pad(tensor, (0, 0, 0, short)) if short else tensor
        chunks: Tensor = padded.unflatten(2, (-1, size))
        return chunks

    query, key, value = parts(steps.query), parts(steps.key), parts(steps.value)
    log_gate = None if steps.log_decay is None else parts(steps.log_decay).cumsum(-2)
    weights = _products(query, key, log_gate).tril()
    expected = None
    if steps.beta is not None:
        beta = parts(steps.beta)
        overlap = (beta * _products(key, key, log_gate)).tril(-1)
        reads = key if log_gate is None else key * log_gate.exp()
        both = torch.cat([beta * value, beta * reads], -1)
        solved = torch.linalg.solve_triangular(overlap, both, upper=False, unitriangular=True)
        value, expected = solved.split([value.shape[-1], key.shape[-1]], -1)
    if log_gate is None:
        return _Within(weights, query, key, value, expected, None)
    last = log_gate[..., -1:, :]
    return _Within(
        weights,
        query * log_gate.exp(),
        key * (last - log_gate).exp(),
        value,
        expected,
        last.mT.exp(),
    )


def _products(left: Tensor, right: Tensor, log_gate: Tensor | None) -> Tensor:
    """Return products (.., C, C) of vectors, times the gates after the right position up to the left one."""
    if log_gate is None:
        return left @ right.mT
    # Above the diagonal the sum of logarithms is positive; it is dropped later and must not overflow here.
    if log_gate.shape[-1] == 1:
        return (left @ right.mT) * (log_gate - log_gate.mT).clamp(max=0).exp()
    between = (log_gate.unsqueeze(-2) - log_gate.unsqueeze(-3)).clamp(max=0).exp()
    return torch.einsum("...id,...jd,...ijd->...ij", left, right, between)
