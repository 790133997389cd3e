"""Drawings of masks: rows are queries, columns are keys, dark is what may be attended to."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from regard.errors import MaskError
from regard.mechanisms.grid import Grid
from regard.mechanisms.masks.rule import Mask
from regard.shapes import Sizes

# From nothing to everything of a cell.
_SHADES = " ░▒▓█"


@dataclass(frozen=True, eq=False)
class Drawing:
    """A mask as shares of cells.

    Attributes:
        share: (rows, columns), what part of each cell may be attended to, from 0 to 1.
        query_cell, key_cell: how many positions a cell spans.
        title: the mask and its lengths in words.
    """

    share: Tensor
    query_cell: int
    key_cell: int
    title: str

    @classmethod
    def of(cls, mask: Mask, sizes: Sizes, batch: int, head: int, cells: int) -> "Drawing":
        """Pool the mask of one batch item and head to cells, a row of them at a time.

        Raises:
            MaskError: no cells.
        """
        if cells < 1:
            raise MaskError(f"draw: expected at least 1 cell; got {cells}")
        mask.check(sizes)
        high, wide = (max(1, -(-positions // cells)) for positions in (sizes.queries, sizes.keys))
        place = range(batch * sizes.heads + head, batch * sizes.heads + head + 1)
        rows = []
        for start in range(0, sizes.queries, high):
            queries, keys = slice(start, min(start + high, sizes.queries)), slice(0, sizes.keys)
            allowed = mask.allowed(Grid.of(place, queries, keys, sizes, torch.device("cpu")))
            allowed = allowed.expand(1, queries.stop - start, sizes.keys)[0].float().mean(0)
            rows.append(torch.stack([part.mean() for part in allowed.split(wide)]) if sizes.keys else allowed)
        share = torch.stack(rows) if rows else torch.zeros(0, -(-sizes.keys // wide))
        return cls(share, high, wide, f"{mask.kind}: {sizes.queries} queries, {sizes.keys} keys")

    def __str__(self) -> str:
        shades = (self.share * (len(_SHADES) - 1)).ceil().long()
        # Two characters a cell make it square.
        return "\n".join([self.title, *("".join(_SHADES[shade] * 2 for shade in row) for row in shades.tolist())])

    def __repr__(self) -> str:
        return str(self)

    def save(self, path: str | Path) -> None:
        """Write a picture, PNG, SVG or PDF by the path's ending; needs matplotlib.

        Raises:
            MaskError: matplotlib is missing, or the ending is none of these.
        """
        path = Path(path)
        if path.suffix.lower() not in {".png", ".svg", ".pdf"}:
            raise MaskError(f"draw: expected a path that ends in .png, .svg or .pdf; got {path.name}")
        try:
            from matplotlib.figure import Figure
        except ImportError as missing:
            raise MaskError("draw: pictures need matplotlib; install regard[look]") from missing
        figure = Figure(figsize=(4, 4), layout="constrained")
        axes = figure.subplots()
        high, wide = self.share.shape
        extent = (0, wide * self.key_cell, high * self.query_cell, 0)
        axes.imshow(self.share.numpy(), cmap="Blues", vmin=0, vmax=1, extent=extent, interpolation="nearest")
        axes.set(xlabel="key", ylabel="query", title=self.title.split(":")[0])
        figure.savefig(path, dpi=150)
