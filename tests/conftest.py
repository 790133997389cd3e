"""Shapes that stand in annotations are checked while the tests run."""

from jaxtyping import install_import_hook

# Not `regard.attend`: what its users hand in wrongly must meet its own errors.
CHECKED = ["regard.engines.partial", "regard.engines.statistics", "regard.watch.kept"]

with install_import_hook(CHECKED, "beartype.beartype"):
    import regard  # noqa: F401
