"""Weights that are at hand as numbers, as a problem: no dot products, and the weights' logarithms in the mask."""

import math

import torch
from torch import Tensor

from regard.engines.contract import Problem
from regard.errors import MechanismError
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks.tensors import TensorMask
from regard.mechanisms.weighing import softmax
from regard.shapes import compute_dtype


def problem_of(P: Tensor, value: Tensor) -> Problem:
    """Return the problem whose weights are these.

    Args:
        P: (B, H, Nq, Nk).
        value: (B, H, Nk, Dv), or with fewer heads.

    Raises:
        MechanismError: a weight is below 0.
    """
    P = P.detach().to(compute_dtype(P.dtype))
    batch, heads, queries, keys = P.shape
    if bool((P < 0).any()):
        raise MechanismError("weights: expected none below 0, as a softmax makes them; got some")
    nothing = P.new_zeros(())
    # A sink without weight says that rows need not sum to 1: they are as the model made them.
    weigh = softmax(sink=-math.inf)
    return Problem(
        nothing.expand(batch, heads, queries, 1),
        nothing.expand(batch, value.shape[1], keys, 1),
        value.detach().to(P.dtype),
        Attention(mask=TensorMask(P.log()), scale=1.0, weigh=weigh),
    )


def normalizers(P: Tensor) -> Tensor:
    """Return the log-sum-exp (B, H, Nq) of rows that are their weights: 0, or -inf where all are 0."""
    lse = torch.zeros(P.shape[:3], dtype=compute_dtype(P.dtype), device=P.device)
    return lse.masked_fill_(P.detach().amax(-1) <= 0 if P.shape[-1] else lse == 0, -torch.inf)
