"""Words for attention, read: parts between semicolons, each a name with plain numbers, or masks joined by & | ~."""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from regard.errors import LayerError, RegardError

T = TypeVar("T")

# Far longer than any attention that has a meaning; what is longer would only cost the parser its stack.
_LONGEST = 300
# The largest whole number: no text is longer, and larger ones would only fill the memory.
_LARGEST = 1 << 24


@dataclass(frozen=True)
class Word:
    """A name with its arguments.

    Attributes:
        name: such as "window".
        given: the arguments without a name: numbers, truth values, None, or lists of these.
        named: the others.
        text: as it was written.
    """

    name: str
    given: tuple[Any, ...]
    named: Mapping[str, Any]
    text: str

    def make(self, maker: Callable[..., T], *context: object) -> T:
        """Return what a function makes of the arguments, after those of the context.

        Raises:
            LayerError: it takes other ones.
        """
        try:
            return maker(*context, *self.given, **self.named)
        except RegardError as wrong:
            raise LayerError(f"{self.text}: {wrong}") from wrong
        except (TypeError, ValueError) as wrong:
            raise LayerError(f"attention: expected {self._written(maker, context)}; got {self.text}") from wrong

    def _written(self, maker: Callable[..., T], context: tuple[object, ...]) -> str:
        """Return how the word is written."""
        parameters = [*inspect.signature(maker).parameters.values()][len(context) :]
        shown = ", ".join(
            each.name if each.default is each.empty else f"{each.name}={each.default}"
            for each in parameters
            if each.name != "align"
        )
        return f"{self.name}({shown})" if shown else f"{self.name} without numbers"


def parts_of(words: str) -> list[ast.expr]:
    """Return the parts of words as expressions, of which nothing is evaluated.

    Raises:
        LayerError: they cannot be read.
    """
    if not isinstance(words, str) or len(words) > _LONGEST:
        got = f"{len(words)} characters" if isinstance(words, str) else type(words).__name__
        raise LayerError(f'attention: expected words such as "dot; causal & window(64)"; got {got}')
    parts = [part.strip() for part in words.split(";")]
    if not any(parts):
        raise LayerError('attention: expected words such as "dot" or "additive; sparsemax"; got none')
    return [_parsed(part) for part in parts if part]


def _parsed(part: str) -> ast.expr:
    try:
        return ast.parse(part, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
        raise LayerError(
            f"attention: cannot read {part!r}. Expected parts between semicolons, each a word such as entmax(1.5),"
            " or masks joined by &, | and ~"
        ) from wrong


def is_word(expression: ast.expr) -> bool:
    """Whether an expression is one word, with or without arguments."""
    return isinstance(expression, ast.Name | ast.Call)


def word_of(expression: ast.expr) -> Word:
    """Return a name with its arguments.

    Raises:
        LayerError: it is something else.
    """
    text = ast.unparse(expression)
    if isinstance(expression, ast.Name):
        return Word(expression.id, (), {}, text)
    if not (isinstance(expression, ast.Call) and isinstance(expression.func, ast.Name)):
        raise LayerError(f"attention: expected a word such as window(64); got {text}{_hint(expression)}")
    named = {each.arg: _number(each.value, text) for each in expression.keywords if each.arg is not None}
    if len(named) < len(expression.keywords):
        raise LayerError(f"attention: expected plain numbers in {text}")
    return Word(expression.func.id, tuple(_number(each, text) for each in expression.args), named, text)


def unknown(name: str, known: Sequence[str]) -> LayerError:
    """Return the error for a word that there is not, with the nearest that there is."""
    near = get_close_matches(name.lower(), known, 1)
    told = f" Did you mean {near[0]}?" if near else ""
    return LayerError(f"attention: no word is called {name!r}.{told} There are: {', '.join(known)}")


def _number(expression: ast.expr, text: str) -> Any:
    """Return a plain number, truth value, None, or a list of these."""
    try:
        value = ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        value = text
    items = value if isinstance(value, list | tuple) else [value]
    if not all(each is None or (isinstance(each, int | float) and abs(each) <= _LARGEST) for each in items):
        raise LayerError(
            f"attention: expected plain numbers up to {_LARGEST} in {text}; got {ast.unparse(expression)}"
        )
    return value


def _hint(expression: ast.expr) -> str:
    """Return what to write instead, where that is known."""
    if isinstance(expression, ast.Tuple):
        return ". Separate parts by semicolons"
    return ". Join masks by &, | and ~" if isinstance(expression, ast.BoolOp | ast.UnaryOp) else ""
