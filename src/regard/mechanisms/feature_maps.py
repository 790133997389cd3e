"""Feature maps: what stands for the exponential of a dot product in linear attention."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import MechanismError
from regard.shapes import compute_dtype

FeatureMap = Callable[[Tensor], Tensor]


def elu_plus_one(x: Tensor) -> Tensor:
    """Return elu(x) + 1, a positive feature for each number.

    Source: Katharopoulos et al. 2020, "Transformers are RNNs", equation 7.
    """
    return F.elu(x) + 1


@dataclass(frozen=True, eq=False)
class PositiveRandomFeatures:
    """Positive random features of the exponential of a scaled dot product; see `positive_random_features`.

    Attributes:
        directions: (features, D), in blocks of D orthogonal rows.
    """

    directions: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return the features of vectors (..., D), in float32 at least."""
        count, width = self.directions.shape
        if x.shape[-1] != width:
            raise MechanismError(f"positive random features: expected vectors of width {width}; got {x.shape[-1]}")
        scaled = x.to(compute_dtype(x.dtype)) * width**-0.25
        projected = scaled @ self.directions.to(scaled).T
        return torch.exp(projected - scaled.square().sum(-1, keepdim=True) / 2) / math.sqrt(count)


def positive_random_features(width: int, count: int, seed: int = 0) -> PositiveRandomFeatures:
    """Return a random feature map whose products estimate exp(q · k / sqrt(D)) without bias.

    Args:
        width: width D of queries and keys.
        count: how many features; more make the estimate better.
        seed: what the directions are drawn from.

    Raises:
        MechanismError: a width or count below 1.

    Source: Choromanski et al. 2021, "Rethinking Attention with Performers", lemma 1 and section 2.4 (orthogonal
    directions).
    """
    if width < 1 or count < 1:
        raise MechanismError(
            f"positive random features: expected width and count of at least 1; got {width}, {count}"
        )
    generator = torch.Generator().manual_seed(seed)
    blocks = [_orthogonal(width, generator) for _ in range(math.ceil(count / width))]
    return PositiveRandomFeatures(torch.cat(blocks)[:count])


def _orthogonal(width: int, generator: torch.Generator) -> Tensor:
    """Return orthogonal directions, each as long as a Gaussian one."""
    gaussian = torch.randn(width, width, generator=generator)
    lengths = torch.randn(width, width, generator=generator).norm(dim=1)
    q, r = torch.linalg.qr(gaussian)
    # Without the signs of r, q is not evenly spread over rotations, and estimates would be biased (Mezzadri 2007).
    directions: Tensor = (q * r.diagonal().sign()).T * lengths.unsqueeze(1)
    return directions
