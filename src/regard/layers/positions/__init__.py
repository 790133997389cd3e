"""Where a token stands, told to a model: added to it, turned into queries and keys, or added to scores."""

from regard.layers.positions.rotary import Rotary
from regard.layers.positions.scalings import (
    DynamicNTKScaling,
    LinearScaling,
    Llama3Scaling,
    NTKScaling,
    RotaryScaling,
    YarnScaling,
)

__all__ = [
    "DynamicNTKScaling",
    "LinearScaling",
    "Llama3Scaling",
    "NTKScaling",
    "Rotary",
    "RotaryScaling",
    "YarnScaling",
]
