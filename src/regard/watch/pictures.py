"""Pictures in all the ways in which they are handed in, as files small enough for a page."""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.errors import RecordError

# The longer side of a picture has at most this many pixels.
LONGEST = 768
_QUALITY = 90
# How far beyond 0 and 1 rounding may take a picture's numbers.
_SLACK = 1e-3
_EXPECTED = (
    "expected a path, the bytes of a PNG or JPEG file, a Pillow image, or a tensor (3, H, W) or (H, W, 3) of bytes"
    " or of numbers from 0 to 1"
)


def file_of(picture: Any) -> tuple[bytes, str]:
    """Return a picture as a file without anything else that files hold, such as places, and its type.

    Args:
        picture: a path, the bytes of a file, a Pillow image, or a tensor or array (3, H, W) or (H, W, 3) of bytes
            or of numbers from 0 to 1.

    Raises:
        RecordError: it is none of these, or Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise RecordError("patches: pictures need Pillow; install it with: pip install 'regard[look]'") from error
    kind = "PNG"
    if isinstance(picture, str | Path | bytes | bytearray | memoryview):
        image, kind = _opened(picture)
    else:
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(_pixels(picture).numpy())
    clear = kind == "PNG" and image.has_transparency_data
    image = image.convert("RGBA" if clear else "RGB")
    image.thumbnail((LONGEST, LONGEST))
    # Else Pillow would write what the file held beside its pixels.
    image.info.clear()
    file = io.BytesIO()
    image.save(file, kind, **({"quality": _QUALITY} if kind == "JPEG" else {"optimize": True}))
    return file.getvalue(), f"image/{kind.lower()}"


def _opened(file: str | Path | bytes | bytearray | memoryview) -> tuple[Any, str]:
    """Return the picture of a file as it is meant to be held, and as what to keep it."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(file if isinstance(file, str | Path) else io.BytesIO(file)) as opened:
            return ImageOps.exif_transpose(opened), "JPEG" if opened.format == "JPEG" else "PNG"
    except UnidentifiedImageError as error:
        raise RecordError("patches: expected a picture in a format that Pillow knows; got another file") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RecordError(f"patches: cannot read the picture: {error}") from error


def _pixels(picture: Any) -> Tensor:
    """Return bytes (H, W, 3) of a tensor or array."""
    try:
        given = torch.as_tensor(picture).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise RecordError(f"patches: {_EXPECTED}; got {type(picture).__name__}") from error
    if given.ndim != 3 or 3 not in (given.shape[0], given.shape[2]) or not given.numel():
        raise RecordError(f"patches: {_EXPECTED}; got shape {tuple(given.shape)}")
    given = given.permute(1, 2, 0) if given.shape[0] == 3 else given
    if given.dtype == torch.uint8:
        return given.contiguous()
    if not given.is_floating_point():
        raise RecordError(f"patches: {_EXPECTED}; got {given.dtype}")
    low, high = float(given.min()), float(given.max())
    if not (low >= -_SLACK and high <= 1 + _SLACK):
        raise RecordError(
            f"patches: {_EXPECTED}; got numbers from {low:.3g} to {high:.3g}. If they were normalised for the"
            " model, hand in the picture as it was before"
        )
    return (given.float().clamp(0, 1) * 255).round().byte().contiguous()
