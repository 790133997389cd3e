"""One colour scale for terminal and page: from dark blue to yellow, readable to the colour-blind."""

# Anchors of an even scale in lightness; the same list stands in page.html.
_ANCHORS = ((12, 30, 82), (53, 70, 108), (98, 105, 113), (145, 140, 118), (196, 180, 104), (253, 231, 56))


def shade(value: float) -> tuple[int, int, int]:
    """Return the colour of a value from 0 (dark) to 1 (bright)."""
    place = min(max(value, 0.0), 1.0) * (len(_ANCHORS) - 1)
    low = min(int(place), len(_ANCHORS) - 2)
    part = place - low
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(_ANCHORS[low], _ANCHORS[low + 1], strict=True))
    return red, green, blue


def on_top(color: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return black or white, whichever reads better on a colour."""
    red, green, blue = color
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 130 else (255, 255, 255)
