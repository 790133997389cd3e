"""Attention that is made up by formulas, over a picture, a sound and a chain that are made up too.

It shows what the page draws of such positions where no data set and no trained model is at hand.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard
from regard import Record

SIDE = 14
NOTES = ("do", "re", "mi", "fa", "so", "la", "ti", "do'")
SECONDS, FRAMES, BINS = 4.0, 96, 64
CHAIN = "MKELTRAIEKLGSDPAGNVKVYVNGEEVEFDSPEEAIRRAKELAEK"


class Made(nn.Module):
    """Attends as it is told to."""

    def forward(self, logits: Tensor) -> None:
        """Attend by logits (layers, heads, queries, keys)."""
        keys = torch.eye(logits.shape[-1]).expand(1, logits.shape[1], -1, -1)
        for layer in logits:
            F.scaled_dot_product_attention(layer[None], keys, keys, scale=1.0)


class MadeCrossAttention(Made):
    """Attends from one sequence to another as it is told to."""


def watched(model: Made, logits: Tensor) -> Record:
    """Return what is seen as a model attends by logits (heads, queries, keys), faintly and then firmly."""
    with regard.watch(model) as seen:
        model(torch.stack([0.3 * logits, logits]))
    return seen


def painted(side: int = 448) -> Tensor:
    """Return a picture (3, side, side), numbers from 0 to 1: hills between a sky with a sun and a lake."""
    down, right = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")

    def paint(over: Tensor, where: Tensor, *color: float) -> Tensor:
        return torch.where(where, torch.tensor(color).view(3, 1, 1), over)

    sky = torch.stack([0.55 + 0.4 * down, 0.75 + 0.15 * down, 0.95 - 0.15 * down])
    picture = paint(sky, (right - 0.72) ** 2 + (down - 0.2) ** 2 < 0.09**2, 1.0, 0.85, 0.3)
    picture = paint(picture, down > 0.5 - 0.13 * torch.sin(7 * right + 1), 0.42, 0.47, 0.62)
    picture = paint(picture, down > 0.6 - 0.09 * torch.sin(5 * right - 1.2), 0.3, 0.5, 0.3)
    picture = paint(picture, down > 0.76 + 0.02 * torch.sin(4 * right), 0.25, 0.45, 0.65)
    glitter = (down > 0.79) & ((right - 0.72).abs() < 0.07 * torch.sin(60 * down).abs())
    return paint(picture, glitter, 0.9, 0.8, 0.45)


def picture() -> regard.Report:
    """Return a report on patches that attend by colour, by nearness, by both and to what is bright."""
    image = painted()
    colors = F.adaptive_avg_pool2d(image, SIDE).flatten(1).T
    places = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).float()
    alike, near = -torch.cdist(colors, colors).square(), -torch.cdist(places, places).square()
    bright = (colors[:, 0] - colors[:, 2]).expand(SIDE**2, -1)
    patches = torch.stack([25 * alike, 0.5 * near, 40 * alike + 0.1 * near, 6 * bright])
    logits = F.pad(patches, (1, 0, 1, 0), value=-2.0)
    logits[:, 0, 1:] = 6 * bright[0]
    axis = regard.words(["[CLS]"]) + regard.patches(image, grid=(SIDE, SIDE))
    title = "Patches of a picture, by formulas"
    return regard.report(watched(Made(), logits), axis, title=title, facts=["Made up: no trained model"])


def sung() -> Tensor:
    """Return a spectrogram (bins, frames) of a scale: each note with its overtones, fading."""
    time, frequency = torch.arange(2 * FRAMES) / (2 * FRAMES), torch.arange(BINS).view(-1, 1)
    note, since = (time * len(NOTES)).long(), (time * len(NOTES)) % 1
    tone = 6 + note * 1.6
    lines = [torch.exp(-((frequency - n * tone) ** 2) / 1.5) / n for n in range(1, 6)]
    return torch.stack(lines).sum(0) * torch.exp(-2 * since) + 0.02


def sound() -> regard.Report:
    """Return a report on names of notes that attend to a sound."""
    time = (torch.arange(FRAMES) + 0.5) / FRAMES * len(NOTES)
    notes = torch.arange(len(NOTES)).view(-1, 1)
    here = -3 * (time - notes - 0.4).square()
    before = -3 * (time - notes + 0.6).square()
    begins = -40 * (time % 1).expand(len(NOTES), -1) * 0.2
    octave = torch.logaddexp(here, -3 * (time - (notes + 7) % 14 - 0.4).square())
    axis = regard.frames(FRAMES, seconds=SECONDS, spectrogram=sung().log1p(), hertz=4000)
    return regard.report(
        watched(MadeCrossAttention(), torch.stack([here, before, begins, octave])),
        axis,
        target=list(NOTES),
        title="Names of notes over a sound, by formulas",
        facts=["Made up: no trained model"],
        layer=1,
        head=0,
    )


def chain() -> regard.Report:
    """Return a report on residues of a helix and a hairpin, with heads that know of them more or less."""
    count = len(CHAIN)
    places = torch.arange(count)
    apart, sums = (places - places.view(-1, 1)).abs(), places + places.view(-1, 1)
    helix = (torch.maximum(places, places.view(-1, 1)) < 14) & ((apart == 3) | (apart == 4))
    hairpin = (torch.minimum(places, places.view(-1, 1)) > 16) & ((sums - 61).abs() <= 1) & (apart > 3)
    tail = (torch.maximum(places, places.view(-1, 1)) > 34) & ((sums - 47).abs() <= 1)
    touching = helix | hairpin | tail
    noise = torch.randn(4, count, count, generator=torch.Generator().manual_seed(4))
    logits = torch.stack([6.0 * touching, 5.0 * hairpin, -apart * 0.8, 0.0 * apart]) + 1.7 * noise
    axis = regard.residues(CHAIN, chain="A", contacts=touching)
    facts = ["Made up: no trained model, and no protein"]
    title = "Residues of a chain, by formulas"
    return regard.report(watched(Made(), logits), axis, title=title, facts=facts, layer=1, head=0)
