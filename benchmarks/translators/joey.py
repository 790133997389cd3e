"""JoeyNMT with the weights of a run."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.translators.contract import AbsentError, Texts, renamed, until
from regard.tasks import Batch, Run
from regard.tasks.data.tokenizer import BEGIN, END, PAD, UNKNOWN
from regard.tasks.training.settings import TrainingSettings
from regard.tasks.training.weights import weights_of
from regard.tasks.translation.batches import SOURCE, TARGET, padded

_NAMES = (
    ("encoder.embedding.tokens", "src_embed.lut"),
    ("encoder.norm", "encoder.layer_norm"),
    ("decoder.norm", "decoder.layer_norm"),
    (".blocks.", ".layers."),
    ("source_attention", "src_trg_att"),
    ("source_residual.norm", "dec_layer_norm"),
    ("feed_forward_residual.norm", "feed_forward.layer_norm"),
    ("feed_forward.into", "feed_forward.pwff_layer.0"),
    ("feed_forward.out", "feed_forward.pwff_layer.3"),
    ("query.", "q_layer."),
    ("key.", "k_layer."),
    ("value.", "v_layer."),
    ("output.", "output_layer."),
)
_OF_ENCODER = (("attention_residual.norm", "layer_norm"), (".attention.", ".src_src_att."))
_OF_DECODER = (("attention_residual.norm", "x_layer_norm"), (".attention.", ".trg_trg_att."))


class _Words:
    """What its models ask of a vocabulary, with our numbers; its own has others for begin, end and padding."""

    pad_index, bos_index, eos_index, unk_index = PAD, BEGIN, END, UNKNOWN
    sep_index = None
    specials: Sequence[int] = (PAD, BEGIN, END, UNKNOWN)
    lang_tags: Sequence[int] = ()

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def lookup(self, number: int) -> int:
        return number


class Joey:
    """JoeyNMT's Transformer, loss and search."""

    def __init__(self, run: Run) -> None:
        try:
            from joeynmt.model import build_model
        except ImportError as error:
            raise AbsentError(f"JoeyNMT (not installed: {error})") from error
        task = run.settings.task
        self._settings = task
        side = {
            "type": "transformer",
            "num_layers": task.layers,
            "num_heads": task.heads,
            "embeddings": {"embedding_dim": task.width, "scale": True, "dropout": task.dropout},
            "hidden_size": task.width,
            "ff_size": task.hidden,
            "dropout": task.dropout,
            "layer_norm": task.order,
        }
        words = _Words(run.parts.target.size)  # type: ignore[attr-defined]
        both = {"encoder": side, "decoder": side, "tied_embeddings": True, "tied_softmax": True}
        model: Any = build_model(both, words, words)
        absent, strange = model.load_state_dict(_named(weights_of(run.model)), strict=False)
        known = ("trg_embed.lut.weight", "decoder.output_layer.weight", "encoder.pe.pe", "decoder.pe.pe")
        if strange or not set(absent) <= {*known}:
            raise ValueError(f"weights do not fit JoeyNMT: {strange} {absent}")
        _alike(model, task.attention_dropout)
        self.model: nn.Module = model.eval()

    def prepare(self, batch: Batch) -> object:
        """Return its kind of batch."""
        return _batch(batch[SOURCE], batch[TARGET])

    def loss(self, prepared: object, smoothing: float) -> Tensor:
        """Return its XentLoss; right tokens are counted too, as in its training."""
        model = cast(Any, self.model)
        model.loss_function = ("crossentropy", smoothing)
        loss: Tensor = model(return_type="loss", **vars(prepared))[0]
        return loss

    def optimizer(self, training: TrainingSettings) -> Optimizer:
        """Return its Adam."""
        from joeynmt.builders import build_optimizer

        config = {
            "optimizer": "adam",
            "learning_rate": training.rate,
            "adam_betas": list(training.betas),
            "eps": training.epsilon,
            "weight_decay": 0.0,
        }
        optimizer: Optimizer = build_optimizer(config, self.model.parameters())
        return optimizer

    def translate(self, batches: Sequence[Texts], beam: int) -> list[list[int]]:
        """Return what its search finds."""
        from joeynmt.search import search

        found: list[list[int]] = []
        for batch in batches:
            source = padded(batch)
            written, _, _ = search(
                model=self.model,
                batch=_batch(source, None),
                max_output_length=self._settings.length(source.shape[1]),
                beam_size=beam,
                beam_alpha=self._settings.length_penalty if beam > 1 else -1,
            )
            found += [until(line, END) for line in written.tolist()]
        return [[number for number in line if number != PAD] for line in found]


def _named(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    sides = ("encoder.", _OF_ENCODER), ("decoder.", _OF_DECODER)
    return {
        name: tensor
        for side, own in sides
        for name, tensor in renamed(
            {name: tensor for name, tensor in weights.items() if name.startswith(side)},
            (*own, *_NAMES),
        ).items()
    }


def _alike(model: nn.Module, attention_dropout: float) -> None:
    """Let it drop where the others do, and norm as they do: it has no settings for these."""
    for part in model.modules():
        if isinstance(part, nn.LayerNorm):
            part.eps = 1e-5
        if type(part).__name__ == "MultiHeadedAttention":
            cast(Any, part).dropout.p = attention_dropout
        if type(part).__name__ == "PositionwiseFeedForward":
            cast(Any, part).pwff_layer[2].p = 0.0


def _batch(source: Tensor, target: Tensor | None) -> Any:
    from joeynmt.batch import Batch as JoeyBatch

    return JoeyBatch(
        src=source,
        src_length=(source != PAD).sum(1),
        src_prompt_mask=None,
        trg=target,
        trg_prompt_mask=None,
        indices=torch.arange(len(source)),
        device=torch.device("cpu"),
        pad_index=PAD,
        eos_index=END,
        is_train=target is not None,
    )
