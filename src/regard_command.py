"""The program `regard`: it stands outside the package, so that it can be interrupted while PyTorch is imported."""

import os
import signal
from types import FrameType


def main() -> None:
    """Import the command line, which takes seconds, and run it."""
    before = signal.getsignal(signal.SIGINT)
    # Whoever started the program may ignore interrupts; then it does so too.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)
    from regard.cli import main as run

    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, before)
    run()


def _stop(_number: int, _frame: FrameType | None) -> None:
    # An exception would pass through the imports of compiled libraries, and some of them swallow it.
    if os.environ.get("LOCAL_RANK", "0") == "0":
        os.write(2, b"regard: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
