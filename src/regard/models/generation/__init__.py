"""Generation: texts written on by a model, greedily, by sampling or by beam search, with a cache or without."""

from regard.models.generation.beam import Beam
from regard.models.generation.contract import Caches, Generates, Translates
from regard.models.generation.generate import generate, stream
from regard.models.generation.generated import Generated, Step
from regard.models.generation.prompts import left_padded
from regard.models.generation.sampling import Greedy, Sample, Takes
from regard.models.generation.spelling import spelled
from regard.models.generation.stops import StopRule, at_strings

__all__ = [
    "Beam",
    "Caches",
    "Generated",
    "Generates",
    "Greedy",
    "Sample",
    "Step",
    "StopRule",
    "Takes",
    "Translates",
    "at_strings",
    "generate",
    "left_padded",
    "spelled",
    "stream",
]
