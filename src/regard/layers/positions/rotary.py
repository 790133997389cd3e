"""Rotary positions: queries and keys turned by angles that grow with the position."""

import torch
from torch import Tensor, nn

from regard.errors import LayerError
from regard.layers.positions.checks import check_turned
from regard.layers.positions.fixed import FixedNumbers
from regard.layers.positions.frequencies import falling_frequencies
from regard.layers.positions.remembering import LastTurns
from regard.layers.positions.scalings import RotaryScaling
from regard.shapes import compute_dtype


class Rotary(nn.Module):
    """Turns pairs of numbers of each query and key by `position * base^(-2i/d)`, so that scores know distances.

    The score of a turned query and a turned key depends on their vectors and on the distance between them alone.
    There are no parameters. Angles and turns are computed in float32, for float64 in float64; `double()` also makes
    the frequencies themselves float64.

    Args:
        width: of a head, D.
        base: where frequencies fall to.
        part: which part of the width is turned; the rest passes as it is.
        interleaved: whether pairs are neighbours (2i, 2i + 1), as in the paper and GPT-J, rather than (i, i + d/2),
            as in GPT-NeoX and Llama.
        scaling: of the frequencies, for texts longer than those of training. Default: none.

    Raises:
        LayerError: the width that is turned is not even or is 0, or the base not above 1.

    Source: Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding", section 3.2.2.
    """

    def __init__(
        self,
        width: int,
        base: float = 10000.0,
        part: float = 1.0,
        interleaved: bool = False,
        scaling: RotaryScaling | None = None,
    ) -> None:
        turned = int(width * part)
        if not 0 < part <= 1 or turned < 2 or turned % 2:
            raise LayerError(
                f"Rotary: expected an even part of the width to turn; got part={part!r} of width={width!r}"
            )
        plain = falling_frequencies("Rotary", turned, base)
        super().__init__()
        self.width, self.turned = width, turned
        self.base, self.interleaved, self.scaling = base, interleaved, scaling
        self.frequencies = FixedNumbers(plain if scaling is None else scaling.scaled(plain, base))
        self._last = LastTurns()

    @property
    def by_length(self) -> bool:
        """Whether turns depend on the length of the text; then keys must be kept unturned."""
        return self.scaling is not None and self.scaling.by_length

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Turn queries or keys.

        Args:
            x: (B, H, N, D).
            positions: (N,), or (B, N) where they differ between batch items.

        Returns:
            (B, H, N, D) in the data type of `x`.

        Raises:
            ShapeError: they do not fit together.
        """
        check_turned("Rotary", x, self.width, positions)
        turns = self._last.of(positions, self.frequencies.numbers, self._turns)
        cosine, sine = (part.to(compute_dtype(x.dtype)) for part in turns)
        if self.turned == self.width:
            return turn(x, cosine, sine, self.interleaved).to(x.dtype)
        turned = turn(x[..., : self.turned], cosine, sine, self.interleaved).to(x.dtype)
        return torch.cat([turned, x[..., self.turned :]], dim=-1)

    def _turns(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine, (N, d/2) or (B, 1, N, d/2)."""
        rates = self.frequencies(positions.device)
        if self.scaling is not None and positions.shape[-1]:
            rates = self.scaling.at_length(rates, positions.amax(-1, keepdim=True) + 1)  # (d/2,) or (B, d/2)
        angles = positions.unsqueeze(-1).to(rates.dtype) * rates.unsqueeze(-2)  # (N, d/2) or (B, N, d/2)
        angles = angles.unsqueeze(1) if positions.ndim == 2 else angles
        if self.scaling is None:
            return angles.cos(), angles.sin()
        return angles.cos() * self.scaling.magnitude, angles.sin() * self.scaling.magnitude

    def extra_repr(self) -> str:
        """Return the numbers, for people."""
        pairs = "neighbours" if self.interleaved else "halves"
        scaled = "" if self.scaling is None else f", scaling={self.scaling}"
        return f"width={self.width}, turned={self.turned}, base={self.base:g}, pairs={pairs}{scaled}"


def turn(x: Tensor, cosine: Tensor, sine: Tensor, interleaved: bool) -> Tensor:
    """Turn pairs of numbers, in the data type of cosine and sine.

    Args:
        x: (..., N, d).
        cosine: broadcasts to (..., N, d/2), of each pair's angle.
        sine: the same.
        interleaved: whether pairs are neighbours rather than in two halves.
    """
    if interleaved:
        first, second = x.to(cosine.dtype).unflatten(-1, (-1, 2)).unbind(-1)  # (..., N, d/2) each
    else:
        first, second = x.to(cosine.dtype).chunk(2, dim=-1)
    # What a product made is added to in place: over a long text, memory is what takes the time.
    turned = ((first * cosine).addcmul_(second, sine, value=-1), (second * cosine).addcmul_(first, sine))
    return torch.stack(turned, dim=-1).flatten(-2) if interleaved else torch.cat(turned, dim=-1)
