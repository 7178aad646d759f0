"""Picture files, which nobody vouches for, as frames."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tinyvision.errors import UserError
from tinyvision.preprocess import Pixels, Preprocess

MAX_PIXELS = 1 << 26
MAX_FILE_BYTES = 1 << 28
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
)
_GREY = ("1", "L", "LA", "La")


def load_picture(path: Path, preprocess: Preprocess) -> Pixels:
    """``uint8[height, width, channels]``: the file as the network's input takes it.

    UserError for what is no picture, or too large a one.
    """
    frame = load_frame(path, 2 * max(preprocess.height, preprocess.width))
    try:
        return preprocess(frame)
    except UserError as error:
        raise UserError(error.what, str(path)) from None


def load_frame(path: Path, least: int | None = None) -> Pixels:
    """``uint8[height, width, 1 or 3]``: the file's first picture, upright, without alpha. It may
    come at half its size or less, as long as its sides stay ``least`` pixels or more.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UserError("the picture is too large", str(path), f"over {MAX_FILE_BYTES:,} bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise UserError(
                        "the picture is too large",
                        str(path),
                        f"{picture.width} x {picture.height} pixels",
                    )
                if least is not None:
                    picture.draft(None, (least, least))
                upright = _eight_bit(ImageOps.exif_transpose(picture))
                upright = upright.convert("L" if upright.mode in _GREY else "RGB")
                if least is not None and min(upright.size) >= 2 * least:
                    upright = upright.reduce(min(upright.size) // least)
    except FileNotFoundError:
        raise UserError("there is no such picture", str(path)) from None
    except (
        OSError,
        ValueError,
        SyntaxError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as error:
        raise UserError("the picture cannot be read", str(path), str(error)) from error
    pixels = np.asarray(upright, np.uint8)
    return pixels.reshape(*pixels.shape[:2], -1)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """A picture of 16 bits a pixel scaled to 8; Pillow would cut it off at 255."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture, np.int64) >> 8).clip(0, 255).astype(np.uint8))
