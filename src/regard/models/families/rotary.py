"""Rotary positions as configs state them, in the words of any version."""

from regard.layers.positions import (
    DynamicNTKScaling,
    LinearScaling,
    Llama3Scaling,
    Rotary,
    RotaryScaling,
    YarnScaling,
)
from regard.models.families.config import Config


def rotary_of(config: Config, head_width: int, part: float = 1.0) -> Rotary:
    """Return the rotary positions of a config.

    Args:
        config: of the model; what it says of rotary positions stands in `rope_parameters`, or, in older files, in
            `rope_scaling` and beside it.
        head_width: D.
        part: of it that is turned, where the config does not say.

    Raises:
        ModelError: a scaling that is unknown, or a field of it.
    """
    base = config.take("rope_theta", float, 10000.0)
    part = config.take("partial_rotary_factor", float, part)
    trained = config.take("max_position_embeddings", int)
    inner = config.inner("rope_parameters", "rope_scaling")
    if inner is None:
        return Rotary(head_width, base, part)
    base, part = inner.take("rope_theta", float, base), inner.take("partial_rotary_factor", float, part)
    scaling = _scaling(inner, trained)
    inner.finish(("original_max_position_embeddings",))
    return Rotary(head_width, base, part, scaling=scaling)


def _scaling(config: Config, trained: int) -> RotaryScaling | None:
    kind = config.one_of(
        "type" if config.has("type") and not config.has("rope_type") else "rope_type",
        "default",
        "linear",
        "dynamic",
        "yarn",
        "llama3",
    )
    config.one_of("type", kind)
    if kind == "default":
        return None
    factor = config.take("factor", float)
    if kind == "linear":
        return LinearScaling(factor)
    if kind == "dynamic":
        return DynamicNTKScaling(factor, trained)
    trained = config.take("original_max_position_embeddings", int, trained)
    if kind == "llama3":
        low, high = config.take("low_freq_factor", float), config.take("high_freq_factor", float)
        return Llama3Scaling(factor, low, high, trained)
    return YarnScaling(
        factor,
        trained,
        config.take("beta_fast", float, 32.0),
        config.take("beta_slow", float, 1.0),
        config.take("attention_factor", float) if config.has("attention_factor") else None,
        _magnitudes(config),
        config.take("truncate", bool, True),
    )


def _magnitudes(config: Config) -> tuple[float, float] | None:
    """Return what growth of vectors is made of, where both numbers are stated and not 0."""
    numbers = config.take("mscale", float, 0.0), config.take("mscale_all_dim", float, 0.0)
    return numbers if all(numbers) else None
