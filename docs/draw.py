"""Draw the pictures of README and docs anew, from the real model: `make picture`."""

from pathlib import Path

from draw_page import photograph, shots

IMAGES = Path(__file__).parent / "images"

if __name__ == "__main__":
    first, *others = shots()
    first.report.save(IMAGES / "look.png")
    photograph(IMAGES, [first])
    photograph(IMAGES / "page", others)
