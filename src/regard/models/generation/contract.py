"""What generation asks of a model and of its caches: two small protocols, which models need not know by name."""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor


class Reorders(Protocol):
    """A cache or a state, as far as generation handles it; the rest is between it and the model."""

    def reorder(self, items: Tensor) -> None:
        """Make batch item i what item `items[i]` was (B',); items may come twice or not at all, as beams do."""


Caches = Sequence[Reorders]


class Generates(Protocol):
    """A model that says of each position of a text what comes next."""

    def __call__(self, tokens: Tensor, *, cache: Any = None, padding: Tensor | None = None) -> Tensor:
        """Return the logits (B, N, V) of the token after each position.

        If it (or `forward`) has a parameter `last`, it is called with `last=True`, and the logits of the last token
        alone (B, 1, V) are enough.

        Args:
            tokens: (B, N), whole numbers; with a cache, those that follow what it holds.
            cache: what `caches` returned; it takes up the keys and values of these tokens. None: the tokens are
                the whole text.
            padding: (B,), how many tokens at the start of each item, counted from the beginning of the whole text,
                are no text: nobody attends to them, and positions count from the first token after them.
        """

    def caches(self) -> Caches:
        """Return empty caches, for a text that will grow."""


class Translates(Protocol):
    """An encoder and a decoder, which says what comes next in the one text given the other."""

    def encode(self, source: Any) -> Any:
        """Return what the decoder may know of the source, its padding included.

        A memory is a tensor, a tuple or a frozen dataclass of these; in each of its tensors the batch is first.
        """

    def decode(self, tokens: Tensor, memory: Any, *, cache: Any = None) -> Tensor:
        """Return the logits (B, N, V) of the token after each position; arguments as for `Generates`.

        It is given `padding` too, as there, where the caller of `generate` gave one.
        """

    def caches(self) -> Caches:
        """Return empty caches, for a text that will grow and the memory of one source."""


class Projects(Translates, Protocol):
    """A translator that leaves the last product to generation, which makes logits of some items at a time.

    If it has `shares_sources`, and that is true, then a memory of B items, and caches of the source, serve n B
    texts, of which n in a row read one source.
    """

    @property
    def projection(self) -> tuple[Tensor, Tensor | None]:
        """The weight (V, E) and the bias (V,) that make logits of vectors."""

    def decode_vectors(self, tokens: Tensor, memory: Any, *, cache: Any = None) -> Tensor:
        """Return what the logits are made of, (B, N, E); arguments as for `decode`."""
