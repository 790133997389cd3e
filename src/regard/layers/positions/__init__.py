"""Where a token stands, told to a model: added to it, turned into queries and keys, or added to scores."""

from regard.layers.positions.biases import AlibiBias, RelativeBias
from regard.layers.positions.learned import Learned
from regard.layers.positions.patches import Rotary2d, Sinusoidal2d, grid_positions
from regard.layers.positions.rotary import Rotary
from regard.layers.positions.scalings import (
    DynamicNTKScaling,
    LinearScaling,
    Llama3Scaling,
    NTKScaling,
    RotaryScaling,
    YarnScaling,
)
from regard.layers.positions.sinusoidal import Sinusoidal

__all__ = [
    "AlibiBias",
    "DynamicNTKScaling",
    "Learned",
    "LinearScaling",
    "Llama3Scaling",
    "NTKScaling",
    "RelativeBias",
    "Rotary",
    "Rotary2d",
    "RotaryScaling",
    "Sinusoidal",
    "Sinusoidal2d",
    "YarnScaling",
    "grid_positions",
]
