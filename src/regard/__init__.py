"""Attention for PyTorch: compute it, look into it exactly at full length, apply it."""

from regard.attend import Attended, attend, explain
from regard.drop_ins.multihead_attention import MultiheadAttention
from regard.drop_ins.scaled_dot_product_attention import scaled_dot_product_attention
from regard.mechanisms.attention import Attention
from regard.mechanisms.feature_maps import elu_plus_one, positive_random_features
from regard.mechanisms.linear import (
    LinearAttention,
    delta_rule,
    gated_delta_rule,
    gated_linear,
    linear,
    performer,
    retention,
)
from regard.mechanisms.masks import (
    Mask,
    causal,
    dilated,
    documents,
    fixed,
    full,
    global_tokens,
    neighbourhood,
    packed,
    padding,
    prefix,
    random_blocks,
    strided,
    window,
)
from regard.mechanisms.modifiers import alibi, relative_buckets, soft_cap
from regard.mechanisms.scores import additive, bilinear, cosine, dot
from regard.mechanisms.weighing import entmax, hard, sigmoid, softmax, sparsemax, top_k
from regard.reinforce import MovingBaseline, reinforce_loss
from regard.reports.report import Report, report
from regard.reports.survey import write_survey
from regard.watch.chains.flow import flow, flow_bound
from regard.watch.chains.head_mean import head_mean
from regard.watch.chains.relevance import relevance
from regard.watch.chains.rollout import rollout
from regard.watch.chains.value_weighted import value_weighted
from regard.watch.chains.who_read import who_read
from regard.watch.change.changes import (
    Change,
    change_output,
    change_values,
    hide,
    knock_out,
    scale_heads,
    shift_values,
    swap_values,
)
from regard.watch.change.changing import change
from regard.watch.change.effect import Effect, effect, head_effects
from regard.watch.faithfulness.measure import faithfulness
from regard.watch.faithfulness.result import Faithfulness, Together, together
from regard.watch.faithfulness.text_answer import text_answer
from regard.watch.faithfulness.word_scores import word_scores
from regard.watch.head_kinds import Head, head_kinds
from regard.watch.heads.induction import induction
from regard.watch.heads.probe import Probe
from regard.watch.heads.retrieval import retrieval
from regard.watch.heads.table import Heads, heads
from regard.watch.modalities import frames, patches, residues
from regard.watch.record import Record
from regard.watch.records.merging import gather, merge
from regard.watch.records.saving import load_record
from regard.watch.site import Site
from regard.watch.survey.comparing import compare_surveys
from regard.watch.survey.findings import Survey
from regard.watch.survey.running import survey
from regard.watch.tally import Tally
from regard.watch.watching import watch
from regard.watch.words import words

__all__ = [
    "Attended",
    "Attention",
    "Change",
    "Effect",
    "Faithfulness",
    "Head",
    "Heads",
    "LinearAttention",
    "Mask",
    "MovingBaseline",
    "MultiheadAttention",
    "Probe",
    "Record",
    "Report",
    "Site",
    "Survey",
    "Tally",
    "Together",
    "additive",
    "alibi",
    "attend",
    "bilinear",
    "causal",
    "change",
    "change_output",
    "change_values",
    "compare_surveys",
    "cosine",
    "delta_rule",
    "dilated",
    "documents",
    "dot",
    "effect",
    "elu_plus_one",
    "entmax",
    "explain",
    "faithfulness",
    "fixed",
    "flow",
    "flow_bound",
    "frames",
    "full",
    "gated_delta_rule",
    "gated_linear",
    "gather",
    "global_tokens",
    "hard",
    "head_effects",
    "head_kinds",
    "head_mean",
    "heads",
    "hide",
    "induction",
    "knock_out",
    "linear",
    "load_record",
    "merge",
    "neighbourhood",
    "packed",
    "padding",
    "patches",
    "performer",
    "positive_random_features",
    "prefix",
    "random_blocks",
    "reinforce_loss",
    "relative_buckets",
    "relevance",
    "report",
    "residues",
    "retention",
    "retrieval",
    "rollout",
    "scale_heads",
    "scaled_dot_product_attention",
    "shift_values",
    "sigmoid",
    "soft_cap",
    "softmax",
    "sparsemax",
    "strided",
    "survey",
    "swap_values",
    "text_answer",
    "together",
    "top_k",
    "value_weighted",
    "watch",
    "who_read",
    "window",
    "word_scores",
    "words",
    "write_survey",
]
