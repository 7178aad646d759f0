"""From a camera's frame to a network's input: one definition, in integers, for every place.

Training, ``run`` and ``evaluate`` call it here; ``codegen_templates/tv_preprocess.h.j2`` is the
same in C, and ``tests/host/test_preprocess.py`` holds the two equal in every bit. A frame is
``uint8[height, width, channels]`` with 1 (grey) or 3 (red, green, blue) channels. In order:

1. ``fit``: ``"stretch"`` takes all of it, ``"crop"`` the largest centred part with the input's
   aspect ratio;
2. resize: the mean under a triangle that is as wide as two pixels of whichever of the two pictures
   is coarser (bilinear when enlarging, free of aliasing when reducing), first along rows, then
   along columns, each rounded to nearest;
3. colour: grey is repeated three times, or (19595 R + 38470 G + 7471 B + 2^15) >> 16;
4. value: a network trained here sees (pixel - 128) / 128, which is pixel - 128 in int8; for
   others ``pixel_range`` infers the values from what the input can represent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinyvision.errors import UserError

Pixels = npt.NDArray[np.uint8]
FITS = ("stretch", "crop")
LUMA = (19595, 38470, 7471)
"""ITU-R BT.601 weights of red, green and blue in 1/65536."""


@dataclass(frozen=True)
class Preprocess:
    """What an input of ``height`` x ``width`` x ``channels`` (1 or 3) makes of a frame."""

    height: int
    width: int
    channels: int
    fit: str = "stretch"

    def __call__(self, frame: Pixels) -> Pixels:
        """``uint8[height, width, channels]`` of a frame of any size, grey or coloured."""
        part = crop(frame, self.height, self.width) if self.fit == "crop" else frame
        return colour(resize(part, self.height, self.width), self.channels)


def crop(frame: Pixels, height: int, width: int) -> Pixels:
    """The largest centred part of ``frame`` whose sides are as ``height`` to ``width``."""
    rows, columns = frame.shape[:2]
    if columns * height > rows * width:
        keep = max(1, rows * width // height)
        return frame[:, (columns - keep) // 2 :][:, :keep]
    keep = max(1, columns * height // width)
    return frame[(rows - keep) // 2 :][:keep]


def resize(frame: Pixels, height: int, width: int) -> Pixels:
    """``frame`` in another size. UserError where a side is so much longer than what it becomes
    that 32 bits would overflow.
    """
    across = _along_rows(frame, width)
    return _along_rows(across.swapaxes(0, 1), height).swapaxes(0, 1)


def _along_rows(frame: Pixels, size: int) -> Pixels:
    """``uint8[rows, size, channels]``: every row reduced or enlarged to ``size`` pixels."""
    count = frame.shape[1]
    if count == size:
        return frame
    positions, weights = _taps(count, size)
    total = weights.sum(axis=1)
    if int(total.max()) * 256 >= 1 << 32:
        raise UserError(f"a side of {count} pixels cannot be reduced to {size}")
    sums = np.repeat((total // 2)[None, :, None], frame.shape[0], axis=0).astype(np.uint32)
    sums = np.repeat(sums, frame.shape[2], axis=2)
    for tap in range(positions.shape[1]):
        sums += weights[:, tap, None].astype(np.uint32) * frame[:, positions[:, tap]]
    means: Pixels = (sums // total[:, None].astype(np.uint32)).astype(np.uint8)
    return means


def _taps(count: int, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each of ``size`` pixels the source pixels that it takes, and their weights; 0 beyond the
    edge. Distances are in 1 / (2 * size) of a source pixel, so all are whole.
    """
    reach = 2 * max(count, size)
    centre = (2 * np.arange(size, dtype=np.int64) + 1) * count
    first = np.maximum((centre - reach - size) // (2 * size) + 1, 0)
    taps = first[:, None] + np.arange(reach // size + 2)
    weights = np.maximum(reach - np.abs((2 * taps + 1) * size - centre[:, None]), 0)
    weights[taps >= count] = 0
    return np.minimum(taps, count - 1), weights


def colour(picture: Pixels, channels: int) -> Pixels:
    """Grey to red, green and blue, or the reverse."""
    if picture.shape[2] == channels:
        return picture
    if channels == 3:
        return np.repeat(picture, 3, axis=2)
    sums = picture.astype(np.uint32) @ np.array(LUMA, np.uint32) + np.uint32(1 << 15)
    grey: Pixels = (sums >> 16).astype(np.uint8)
    return grey[..., None]


def real_values(pixels: Pixels) -> npt.NDArray[np.float32]:
    """What a network trained here sees: (pixel - 128) / 128, exact in float32."""
    return (pixels.astype(np.float32) - np.float32(128)) / np.float32(128)


def pixel_range(scale: float, zero_point: int) -> tuple[float, float]:
    """The real values that pixels 0 and 255 have for an int8 input: -1 to 127/128 (networks trained
    here), 0 to 255, 0 to 1, -1 to 1, or all that it can represent for models normalised in another
    way.
    """
    low, high = (scale * (limit - zero_point) for limit in (-128, 127))
    if abs(low + 1) < 1e-6 and abs(high - 127 / 128) < 1e-6:
        return low, high
    if high > 100:
        return 0.0, 255.0
    if low > -0.1:
        return 0.0, 1.0
    if high < 1.2:
        return -1.0, 1.0
    return low, high


def pixel_values(scale: float, zero_point: int) -> npt.NDArray[np.int8]:
    """``int8[256]``: what an int8 input holds for each value of a pixel."""
    black, white = pixel_range(scale, zero_point)
    real = black + np.arange(256) / 255 * (white - black)
    steps: npt.NDArray[np.int8] = np.clip(np.round(real / scale) + zero_point, -128, 127).astype(
        np.int8
    )
    return steps


def from_rgb565(words: npt.NDArray[np.uint16]) -> Pixels:
    """Red, green and blue of a camera's 16-bit pixels; the high bits are repeated below."""
    red, green, blue = words >> 11, words >> 5 & 63, words & 31
    parts = (red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2)
    pixels: Pixels = np.stack(parts, axis=-1).astype(np.uint8)
    return pixels
