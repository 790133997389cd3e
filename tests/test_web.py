"""The page that the package carries is what its sources in web/ make, and these hold their own checks and tests."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import regard

ROOT = Path(regard.__file__).parents[2]
WEB = ROOT / "web"
PAGE = Path(regard.__file__).parent / "reports/page/page.html"
# The build reads these beside all that is in src/.
FILES = ("package.json", "package-lock.json", "vite.config.ts", "assembling.ts", "unpacking.js", "index.html")
UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED|E40[134]|E5\d\d)\b"
)

pytestmark = pytest.mark.skipif(not WEB.is_dir(), reason="the sources of the page are not beside the package")


def hash_of(folder):
    """Return the hash of all that the page is built of."""
    within = [path.relative_to(folder).as_posix() for path in (folder / "src").rglob("*") if path.is_file()]
    digest = hashlib.sha256()
    for name in sorted((*FILES, *within)):
        digest.update(f"{name}\0".encode() + (folder / name).read_bytes() + b"\0")
    return digest.hexdigest()


def test_the_page_is_built_of_these_sources():
    (built,) = re.findall(r'<meta name="sources" content="(\w+)">', PAGE.read_text(encoding="utf-8"))
    assert built == hash_of(WEB), "the page is older than its sources: make page"


def test_packages_come_from_any_registry_and_are_known_by_their_content():
    packages = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    downloaded = {name: package for name, package in packages.items() if name}
    assert downloaded
    assert not [name for name, package in downloaded.items() if "resolved" in package]
    assert not [name for name, package in downloaded.items() if not package["integrity"].startswith("sha512-")]


def version_of_node():
    """Return the version of Node.js, (0,) where there is none."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return (0,)
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(number) for number in re.findall(r"\d+", told)[:3])


def serves(version):
    """Return whether package.json's "^20.19.0 || >=22.12.0" takes in a version."""
    return version >= (22, 12) or (20, 19) <= version < (21,)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Copy the sources and install what they need; return how to run npm there."""
    if not serves(version := version_of_node()):
        pytest.skip(f"Node.js of version 20.19, or 22.12 and newer, is needed; found {'.'.join(map(str, version))}")
    folder = tmp_path_factory.mktemp("page") / "web"
    shutil.copytree(WEB, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))

    def npm(*arguments):
        return subprocess.run(
            ["npm", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=500
        )

    done = npm("ci", "--no-audit", "--no-fund")
    if done.returncode and UNREACHABLE.search(done.stderr):
        pytest.skip(f"packages cannot be installed: {done.stderr.strip().splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return npm


@pytest.mark.slow
@pytest.mark.parametrize("script", ["check", "test"])
def test_the_sources_hold_their_checks_and_tests(copy, script):
    done = copy("run", script)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_sources_make_the_page_byte_for_byte(copy, tmp_path):
    done = copy("run", "build", "--", "--outDir", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    same = (tmp_path / "page.html").read_bytes() == PAGE.read_bytes()
    assert same, "the page is not what its sources make: make page"
