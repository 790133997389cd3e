"""Norms of values, as they are or as the output projection transforms them."""

from torch import Tensor, nn

from regard.engines.pairs import chunks
from regard.errors import ShapeError
from regard.shapes import compute_dtype
from regard.watch.chains.exact import exact
from regard.watch.site import Site

# How many numbers of transformed values are made at a time.
_AT_ONCE = 1 << 20


def value_norms(site: Site, output: Tensor | nn.Module | None = None) -> Tensor:
    """Return ||f(x_j)|| (B, H, Nk), the norm of the value that each head reads at each key, projected or not.

    Args:
        site: a site that kept its values.
        output: the projection after the heads; see `value_weighted`.
    """
    with exact(site.values):
        dtype = compute_dtype(site.dtype)
        value = site.values.to(dtype).repeat_interleave(site.sizes.group, 1)
        norms = value.new_zeros(value.shape[:3])
        matrix = None if output is None else _matrix(site, output).to(dtype)
        heads = None if matrix is None else matrix.unflatten(0, (site.sizes.heads, site.sizes.value_width))
        width = site.sizes.value_width if heads is None else heads.shape[-1]
        for keys in chunks(site.sizes.keys, _AT_ONCE // max(1, site.sizes.batch * site.sizes.heads * width)):
            part = value[:, :, keys]
            norms[..., keys] = (part if heads is None else part @ heads).norm(dim=-1)
        return norms


def _matrix(site: Site, output: Tensor | nn.Module) -> Tensor:
    """Return W_O (H * Dv, width), as it stands in x W_O."""
    weight = output if isinstance(output, Tensor) else getattr(output, "weight", None)
    matrix = weight.T if isinstance(output, nn.Linear) and isinstance(weight, Tensor) else weight
    wanted = site.sizes.heads * site.sizes.value_width
    if not isinstance(matrix, Tensor) or matrix.ndim != 2 or matrix.shape[0] != wanted:
        got = type(output).__name__ if not isinstance(matrix, Tensor) else tuple(matrix.shape)
        raise ShapeError(
            f"output: expected a projection of {wanted} numbers ({site.sizes.heads} heads of"
            f" {site.sizes.value_width}): a matrix ({wanted}, width), an nn.Linear or a Conv1D; got {got}"
        )
    return matrix
