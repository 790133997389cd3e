"""CTranslate2 with the weights of a run, in float32."""

import tempfile
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.translators.contract import AbsentError, Texts
from regard.layers.positions import Sinusoidal
from regard.tasks import Run
from regard.tasks.data.tokenizer import BEGIN, END, UNKNOWN
from regard.tasks.training.weights import weights_of

POSITIONS = 512
_PROJECTIONS = ("query", "key", "value")


class Exported:
    """Its Translator; a token's word is its number."""

    def __init__(self, run: Run, threads: int, batch_tokens: int) -> None:
        try:
            import ctranslate2
        except ImportError as error:
            raise AbsentError(f"CTranslate2 (not installed: {error})") from error
        self._settings, self._tokens = run.settings.task, batch_tokens
        size = run.parts.target.size  # type: ignore[attr-defined]
        with tempfile.TemporaryDirectory() as folder:
            spec = _spec(run.settings.task, weights_of(run.model), size)
            spec.validate()
            spec.optimize()
            spec.save(folder)
            self._translator = ctranslate2.Translator(
                folder, device="cpu", compute_type="float32", inter_threads=1, intra_threads=threads
            )

    def translate(self, batches: Sequence[Texts], beam: int) -> list[list[int]]:
        """Return what its Translator finds, which makes batches itself."""
        sources = [[str(number) for number in source] for source in chain.from_iterable(batches)]
        longest = max(map(len, sources), default=1)
        results = self._translator.translate_batch(
            sources,
            beam_size=beam,
            length_penalty=self._settings.length_penalty,
            max_batch_size=self._tokens,
            batch_type="tokens",
            max_decoding_length=self._settings.length(longest),
        )
        return [[int(word) for word in result.hypotheses[0]] for result in results]


def _spec(task: Any, weights: Mapping[str, Tensor], size: int) -> Any:
    from ctranslate2.specs import TransformerSpec
    from ctranslate2.specs.common_spec import Activation

    spec = TransformerSpec.from_config(
        (task.layers, task.layers), task.heads, pre_norm=task.order == "pre", activation=Activation.RELU
    )
    tokens = _array(weights["encoder.embedding.tokens.weight"])
    waves = _array(Sinusoidal(task.width)(torch.arange(POSITIONS)))
    spec.encoder.embeddings[0].weight = spec.decoder.embeddings.weight = spec.decoder.projection.weight = tokens
    for name in ("encoder", "decoder"):
        side = getattr(spec, name)
        side.position_encodings.encodings = waves
        if task.order == "pre":
            _norm(side.layer_norm, weights, f"{name}.norm")
        for number, layer in enumerate(side.layer):
            block = f"{name}.blocks.{number}"
            _attention(layer.self_attention, weights, f"{block}.attention", [_PROJECTIONS])
            _norm(layer.self_attention.layer_norm, weights, f"{block}.attention_residual.norm")
            if name == "decoder":
                _attention(layer.attention, weights, f"{block}.source_attention", [("query",), ("key", "value")])
                _norm(layer.attention.layer_norm, weights, f"{block}.source_residual.norm")
            _linear(layer.ffn.linear_0, weights, [f"{block}.feed_forward.into"])
            _linear(layer.ffn.linear_1, weights, [f"{block}.feed_forward.out"])
            _norm(layer.ffn.layer_norm, weights, f"{block}.feed_forward_residual.norm")
    words = [str(number) for number in range(size)]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    config = spec.config
    config.bos_token = config.decoder_start_token = str(BEGIN)
    config.eos_token, config.unk_token = str(END), str(UNKNOWN)
    return spec


def _attention(attention: Any, weights: Mapping[str, Tensor], name: str, groups: Sequence[Sequence[str]]) -> None:
    """Fill in projections, several as one matrix where they are one there."""
    for linear, group in zip(attention.linear, [*groups, ("output",)], strict=True):
        _linear(linear, weights, [f"{name}.{each}" for each in group])


def _linear(linear: Any, weights: Mapping[str, Tensor], names: Sequence[str]) -> None:
    linear.weight = np.concatenate([_array(weights[f"{name}.weight"]) for name in names])
    linear.bias = np.concatenate([_array(weights[f"{name}.bias"]) for name in names])


def _norm(norm: Any, weights: Mapping[str, Tensor], name: str) -> None:
    norm.gamma, norm.beta = (_array(weights[f"{name}.{part}"]) for part in ("weight", "bias"))


def _array(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()
