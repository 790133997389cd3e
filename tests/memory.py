"""The most memory that a fresh process holds while it runs some code."""

import subprocess
import sys

import pytest

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from Linux's /proc")

_PEAK = """
_status = open("/proc/self/status").read()
print(next(line.split()[1] for line in _status.splitlines() if line.startswith("VmHWM")))
"""


def peak(code: str, *arguments: str) -> float:
    """Return the peak, in MB, of a process that runs some code.

    `getrusage` would do but for one thing: its maximum outlives exec, so that a child of a large test process
    starts with its parent's.
    """
    done = subprocess.run(
        [sys.executable, "-c", code + _PEAK, *arguments], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1]) / 1024
