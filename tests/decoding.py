"""A saved page, read as a browser reads it: by an HTML parser, base64, zlib and numpy."""

import base64
import json
import zlib
from html.parser import HTMLParser

import numpy as np


class Scripts(HTMLParser):
    """Collects script elements, and the names of all elements."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.scripts, self.names, self._open = {}, [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self._open = dict(attrs) if tag == "script" else None
        if self._open is not None:
            self.scripts[self._open.get("id")] = [self._open.get("type"), ""]

    def handle_data(self, data):
        if self._open is not None:
            self.scripts[self._open.get("id")][1] += data

    def handle_endtag(self, tag):
        self._open = None


class Page:
    """The index of a page, and its arrays."""

    def __init__(self, text):
        self.text, self.parsed = text, Scripts(text)
        kind, content = self.parsed.scripts["index"]
        assert kind == "application/json"
        self.index = json.loads(content)

    def bytes(self, number):
        kind, content = self.parsed.scripts[f"array-{number}"]
        assert kind == "application/octet-stream"
        return zlib.decompress(base64.b64decode(content, validate=True))

    def numbers(self, number, kind):
        return np.frombuffer(self.bytes(number), kind)

    def labels(self, number, count):
        text = self.bytes(number).decode("utf-8")
        labels = text.split("\0")
        assert len(labels) == count or (not text and not count)
        return labels[:count]

    def full(self, full):
        """Weights (rows, columns), as `schema.ts` says they stand."""
        high = self.numbers(full["high"], np.uint8).astype(int)
        low, fine = self.numbers(full["low"], np.uint8), full["fine"]
        lower = np.where(high == 0, 0, 128)
        lower[high >= fine] = low
        return (((256 * high + lower) / 65535) ** 2).reshape(full["rows"], full["columns"])

    def codes(self, number, *shape):
        """Square roots of weights that stand in one byte each."""
        return self.numbers(number, np.uint8).reshape(shape) / 255

    def links(self, links):
        queries, keys = (self.numbers(links[name], "<u4") for name in ("queries", "keys"))
        return queries, keys, (self.numbers(links["weights"], "<u2") / 65535) ** 2

    def heads(self, run=0, group=0):
        return [head for layer in self.index["runs"][run]["groups"][group]["layers"] for head in layer["heads"]]
