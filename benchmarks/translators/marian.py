"""Hugging Face's Marian with the weights of a run."""

from collections.abc import Sequence
from typing import Any, cast

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from benchmarks.translators.contract import AbsentError, Texts, renamed, until
from regard.layers.positions import Sinusoidal
from regard.tasks import Batch, Run
from regard.tasks.data.tokenizer import BEGIN, END, PAD
from regard.tasks.training.settings import TrainingSettings
from regard.tasks.training.weights import weights_of
from regard.tasks.translation.batches import SOURCE, TARGET, padded

POSITIONS = 512
_NAMES = (
    ("encoder.embedding.tokens", "shared"),
    ("encoder.", "model.encoder."),
    ("decoder.", "model.decoder."),
    (".blocks.", ".layers."),
    ("source_attention", "encoder_attn"),
    ("source_residual.norm", "encoder_attn_layer_norm"),
    ("attention_residual.norm", "self_attn_layer_norm"),
    (".attention.", ".self_attn."),
    ("feed_forward_residual.norm", "final_layer_norm"),
    ("feed_forward.into", "fc1"),
    ("feed_forward.out", "fc2"),
    ("query.", "q_proj."),
    ("key.", "k_proj."),
    ("value.", "v_proj."),
    ("output.", "out_proj."),
    ("shared", "model.shared"),
)


class Marian:
    """MarianMTModel, its attention by torch's fused kernel."""

    def __init__(self, run: Run) -> None:
        task = run.settings.task
        if task.order != "post":
            raise AbsentError("Marian (its norms stand behind the branches)")
        self._settings = task
        config = transformers.MarianConfig(
            vocab_size=run.parts.target.size,  # type: ignore[attr-defined]
            d_model=task.width,
            encoder_layers=task.layers,
            decoder_layers=task.layers,
            encoder_attention_heads=task.heads,
            decoder_attention_heads=task.heads,
            encoder_ffn_dim=task.hidden,
            decoder_ffn_dim=task.hidden,
            activation_function="relu",
            dropout=task.dropout,
            attention_dropout=task.attention_dropout,
            activation_dropout=0.0,
            scale_embedding=True,
            max_position_embeddings=POSITIONS,
            pad_token_id=PAD,
            bos_token_id=BEGIN,
            eos_token_id=END,
            decoder_start_token_id=BEGIN,
            forced_eos_token_id=None,
        )
        model: Any = transformers.MarianMTModel._from_config(config, attn_implementation="sdpa")
        absent, strange = model.load_state_dict(renamed(weights_of(run.model), _NAMES), strict=False)
        # What is tied to the embedding, waves, and a bias of zeros.
        known = ("embed_tokens", "embed_positions", "lm_head", "final_logits_bias")
        if strange or not all(any(word in name for word in known) for name in absent):
            raise ValueError(f"weights do not fit Marian: {strange} {absent}")
        for side in (model.model.encoder, model.model.decoder):
            side.embed_positions.weight.data.copy_(Sinusoidal(task.width)(torch.arange(POSITIONS)))
        self.model: nn.Module = model.eval()

    def prepare(self, batch: Batch) -> object:
        """Return the batch with the mask of the source, as its tokenizers give it."""
        return {**batch, "mask": (batch[SOURCE] != PAD).long()}

    def loss(self, prepared: object, smoothing: float) -> Tensor:
        """Return torch's cross entropy of its logits."""
        batch = cast(Batch, prepared)
        target = batch[TARGET]
        logits = self.model(
            input_ids=batch[SOURCE],
            attention_mask=batch["mask"],
            decoder_input_ids=target[:, :-1],
            use_cache=False,
        ).logits
        wanted = target[:, 1:].flatten()
        return F.cross_entropy(
            logits.flatten(0, 1), wanted, ignore_index=PAD, label_smoothing=smoothing, reduction="sum"
        )

    def optimizer(self, training: TrainingSettings) -> Optimizer:
        """Return what transformers' Trainer takes: AdamW, fused."""
        return AdamW(
            self.model.parameters(),
            lr=training.rate,
            betas=training.betas,
            eps=training.epsilon,
            weight_decay=0.0,
            fused=True,
        )

    def translate(self, batches: Sequence[Texts], beam: int) -> list[list[int]]:
        """Return what `generate` writes."""
        found: list[list[int]] = []
        model = cast(Any, self.model)
        for batch in batches:
            source = padded(batch)
            written = model.generate(
                input_ids=source,
                attention_mask=(source != PAD).long(),
                max_new_tokens=self._settings.length(source.shape[1]),
                num_beams=beam,
                do_sample=False,
                **({"length_penalty": self._settings.length_penalty} if beam > 1 else {}),
            )
            found += [until(line, END) for line in written[:, 1:].tolist()]
        return found
