"""Attention for PyTorch: compute it, look into it exactly at full length, apply it."""

from regard.attend import Attended, attend, explain
from regard.mechanisms.attention import Attention
from regard.mechanisms.masks import Mask, causal, full, padding, window
from regard.reports.report import Report, report
from regard.watch.record import Record
from regard.watch.site import Site
from regard.watch.watching import watch

__all__ = [
    "Attended",
    "Attention",
    "Mask",
    "Record",
    "Report",
    "Site",
    "attend",
    "causal",
    "explain",
    "full",
    "padding",
    "report",
    "watch",
    "window",
]
