"""The house holds: imports run one way, the face is sorted, the core starts without its extras."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import regard

SOURCE = Path(regard.__file__).parent
ROOT = SOURCE.parent.parent

# What each room may import from regard, beside itself; `docs/architecture.md` draws the same table.
ALLOWED = {
    "errors": set(),
    "shapes": {"errors"},
    "writing": {"errors"},
    "mechanisms": {"shapes", "errors"},
    "engines": {"mechanisms", "shapes", "errors"},
    "attend": {"engines", "mechanisms", "shapes", "errors"},
    "watch": {"attend", "engines", "mechanisms", "shapes", "writing", "errors"},
    "reports": {"watch", "engines", "writing", "errors"},
    "tasks": {
        "models",
        "layers",
        "reports",
        "watch",
        "attend",
        "engines",
        "mechanisms",
        "shapes",
        "writing",
        "errors",
    },
    "cli": {"tasks", "reports", "watch", "engines", "errors"},
    "drop_ins": {"attend", "engines", "mechanisms", "shapes", "errors"},
    "layers": {"attend", "engines", "mechanisms", "shapes", "errors"},
    "models": {"layers", "attend", "engines", "mechanisms", "shapes", "errors"},
    "reinforce": {"errors"},
    "__init__": {"drop_ins", "reinforce", "attend", "mechanisms", "watch", "reports", "layers", "models"},
}
# Engines do not know one another; what they share is common ground.
ENGINES = {"reference", "rows", "fused", "flex", "tiled"}
HEAVY = (
    "transformers",
    "matplotlib",
    "tokenizers",
    "safetensors",
    "lightning",
    "datasets",
    "sacrebleu",
    "babel",
    "yaml",
    "torch._dynamo",
)


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name for name in names if name.startswith("regard.")}


def room(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


MODULES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path):
    own = room(path.relative_to(SOURCE).parts)
    reached = {room(tuple(name.split(".")[1:])) for name in imports(path)} - {own}
    assert reached <= ALLOWED[own], f"{own} must not import {sorted(reached - ALLOWED[own])}"


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_engines_do_not_know_one_another(engine):
    others = {f"regard.engines.{other}" for other in ENGINES - {engine}} | {"regard.engines.choose"}
    assert not imports(SOURCE / "engines" / f"{engine}.py") & others


def test_the_face_is_sorted_and_complete():
    assert regard.__all__ == sorted(regard.__all__)
    assert all(getattr(regard, name).__doc__ for name in regard.__all__)


def test_every_module_says_what_it_is_for():
    for path in MODULES:
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
        assert first.endswith((".", ":")), f"{path.name} does not begin with a sentence"


def test_users_errors_are_raised_not_asserted():
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert):
                kind = node.test
                assert isinstance(kind, ast.Compare), f"{path.name}:{node.lineno} asserts more than a type"
                assert isinstance(kind.ops[0], ast.IsNot), f"{path.name}:{node.lineno} asserts more than a type"


def test_the_core_starts_without_extras():
    block = "; ".join(f"sys.modules[{name!r}] = None" for name in HEAVY)
    code = f"import sys; {block}; import regard, regard.cli; print(regard.attend.__name__)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "attend", done.stderr


ATTENDS_AND_LOOKS = """
import sys, torch, regard
q, k, v = torch.randn(3, 1, 2, 5, 4)
with regard.watch() as seen:
    torch.nn.functional.scaled_dot_product_attention(q, k, v)
    regard.attend(q, k, v)
assert len(list(seen)) == 2
print(sorted({"torch._dynamo", "sympy"} & set(sys.modules)))
"""


def test_attending_and_looking_leave_torch_s_compiler_alone():
    command = [sys.executable, "-W", "error", "-c", ATTENDS_AND_LOOKS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_typing_is_shipped():
    assert (SOURCE / "py.typed").is_file()


def test_files_speak_of_the_project_alone():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".html", ".yml"} and path.is_file():
            text = path.read_text(encoding="utf-8")
            found = [each for each in ("/" + "home/", "/" + "root/", "/" + "work/") if each in text]
            assert not found, f"{name} names a path of one machine: {found}"
