"""Masks by words: those whose arguments are plain numbers, joined by & | ~."""

import ast
from collections.abc import Iterator

from regard.errors import LayerError
from regard.layers.naming.reading import Word, word_of
from regard.mechanisms import masks
from regard.mechanisms.masks import Mask

MASKS = {
    name: getattr(masks, name)
    for name in (
        "causal",
        "dilated",
        "fixed",
        "full",
        "global_tokens",
        "neighbourhood",
        "prefix",
        "random_blocks",
        "strided",
        "window",
    )
}

# Masks that no word can say, and why.
OF_A_BATCH = ("documents", "packed", "padding")

# What a decoder's own attention cannot mean.
_NOT_WRITING = {
    "prefix": "it lets positions see ahead, which one that writes on cannot; leave it out",
    "random_blocks": "blocks are drawn among those of a whole text, and while one is written that grows, so that"
    " training and writing would draw others; take window(...) or strided(...)",
    "neighbourhood": "it is for pictures of one size, and a text that is written grows; take window(...)",
}


def mask_words(expression: ast.expr) -> Iterator[Word]:
    """Yield the words that a mask is joined of.

    Raises:
        LayerError: something else than words joined by & | ~.
    """
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.BitAnd | ast.BitOr):
        yield from mask_words(expression.left)
        yield from mask_words(expression.right)
    elif isinstance(expression, ast.UnaryOp) and isinstance(expression.op, ast.Invert):
        yield from mask_words(expression.operand)
    else:
        yield word_of(expression)


def mask_of(expressions: list[ast.expr], *, causal: bool) -> Mask:
    """Return the mask that all these expressions say together.

    Args:
        expressions: words joined by & | ~.
        causal: whether nobody may see ahead beside.

    Raises:
        LayerError: nobody could see anybody, or what is said has no meaning for a layer that writes.
    """
    mask = masks.causal() if causal else masks.full()
    for expression in expressions:
        for word in mask_words(expression) if causal else ():
            if word.name in _NOT_WRITING:
                raise LayerError(f"{word.text}: {_NOT_WRITING[word.name]}")
        mask = _joined(expression) & mask
    size = 2 * _largest(expressions) + 64
    if size <= _CHECKED and any(_is_negated(each) for each in expressions) and not mask.count(size):
        raise LayerError(f"{mask}: expected a mask by which somebody sees somebody; this one allows nothing")
    return mask


# Up to this many positions a negated mask is counted; what larger numbers leave is taken on trust.
_CHECKED = 4096


def _joined(expression: ast.expr) -> Mask:
    """Return the mask of an expression."""
    if isinstance(expression, ast.BinOp):
        left, right = _joined(expression.left), _joined(expression.right)
        return left & right if isinstance(expression.op, ast.BitAnd) else left | right
    if isinstance(expression, ast.UnaryOp):
        return ~_joined(expression.operand)
    word = word_of(expression)
    mask: Mask = word.make(MASKS[word.name])
    return mask


def _is_negated(expression: ast.expr) -> bool:
    return any(isinstance(each, ast.Invert) for each in ast.walk(expression))


def _largest(expressions: list[ast.expr]) -> int:
    """Return the largest whole number in expressions, or 0."""
    inside = (each for expression in expressions for each in ast.walk(expression))
    numbers = (each.value for each in inside if isinstance(each, ast.Constant))
    return max((number for number in numbers if isinstance(number, int)), default=0)
