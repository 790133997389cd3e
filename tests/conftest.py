"""Shapes that stand in annotations are checked while the tests run; several processes of tests share the cores."""

import os

# Before torch is imported: processes whose threads outnumber the cores wait for one another. A process that a test
# starts inherits it.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

from jaxtyping import install_import_hook

# Not `regard.attend`: what its users hand in wrongly must meet its own errors.
CHECKED = ["regard.engines.partial", "regard.engines.statistics", "regard.watch.kept"]

with install_import_hook(CHECKED, "beartype.beartype"):
    import regard  # noqa: F401
