"""The arrays of a page: compressed as they come, written as elements in which nothing runs."""

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

_LEVEL = 6
# What stands for the letter that parts labels, where a label holds it.
_PICTURED_NUL = "\N{SYMBOL FOR NULL}"


class Arrays:
    """Arrays by number."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []

    def add(self, content: bytes) -> int:
        """Take in an array and return its number."""
        return self.add_packed(pack(content))

    def add_packed(self, content: bytes) -> int:
        """Take in an array that is compressed already, and return its number."""
        self._packed.append(content)
        return len(self._packed) - 1

    def add_labels(self, labels: Sequence[str]) -> int:
        """Take in labels, parted by NUL, and return their array's number."""
        return self.add_packed(zlib.compress("\0".join(map(_encodable, labels)).encode(), _LEVEL))

    @property
    def size(self) -> int:
        """How many bytes the compressed arrays have together."""
        return sum(map(len, self._packed))

    def elements(self, index: Any) -> str:
        """Return the script elements of the index and of all arrays."""
        # Inside a script element only "<" could end it; as an escape it is the same JSON.
        text = json.dumps(index, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
        lines = [f'<script type="application/json" id="index">{text}</script>']
        lines += [
            f'<script type="application/octet-stream" id="array-{number}">'
            f"{base64.b64encode(packed).decode('ascii')}</script>"
            for number, packed in enumerate(self._packed)
        ]
        return "\n".join(lines)


def pack(content: bytes) -> bytes:
    """Return numbers compressed as the page takes them.

    Weights repeat each other in runs only. Looking for nothing else takes an eighth of the time, and up to 1.3 %
    more bytes where that was measured.
    """
    stream = zlib.compressobj(_LEVEL, strategy=zlib.Z_RLE)
    return stream.compress(content) + stream.flush()


def _encodable(label: str) -> str:
    """Return a label without NUL and without halves of letters, which UTF-8 cannot say."""
    whole = label.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", _PICTURED_NUL)
