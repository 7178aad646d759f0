"""Sums of two pixels in one register, for cores whose only multiplication is 32 by 32 bits to 32.

A word a + (b << 16) of one input of two pixels, times a weight, is both products in lanes of 16
bits. Products of a few taps are added up so; before a lane can overflow, which the weights alone
decide, both lanes are taken out into sums of 32 bits. ``runs`` cuts a channel's taps accordingly.

Weights come four taps (a slice, a word) at a time. A stream of words holds for each channel: its
bias; for each run how many slices lie between the last one's and its own (times 16, signed, upper
half), and how many it has (times 16, one less but in the channel's last run), then their weights;
the constants of its requantization.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyvision.ir.types import Array

SLICE = 4
"""Taps of one word of weights."""

MOST_SLICES = 1000
"""Of a channel."""

CENTRE = 0x7FFF
"""What both lanes start from: their sums may be from -CENTRE to 65535 - CENTRE."""


@dataclass(frozen=True, eq=False)
class Run:
    """Slices [first, end) of the inputs, and four int8 weights of each (int8, (slices, 4))."""

    first: int
    weights: Array

    @property
    def end(self) -> int:
        return self.first + len(self.weights)


def slices(taps: int) -> int:
    return -(-taps // SLICE)


def fits(weights: Array) -> bool:
    """Whether the sum of the products of these weights with any int8 stays inside a lane."""
    wide = weights.astype(np.int64)
    lowest = np.minimum(wide * -128, wide * 127).sum()
    highest = np.maximum(wide * -128, wide * 127).sum()
    return bool(lowest >= -CENTRE and highest <= 65535 - CENTRE)


def runs(weights: Array) -> list[Run]:
    """Cuts one channel's taps (int8, one dimension) into as few runs as fit, at least one.

    A slice that does not fit by itself is read twice, with half of its weights each time. Slices
    of zeros at the ends of runs are left out.
    """
    padded = np.zeros(slices(weights.size) * SLICE, np.int8)
    padded[: weights.size] = weights
    words = padded.reshape(-1, SLICE)
    wide = words.astype(np.int64)
    lowest = np.minimum(wide * -128, wide * 127).sum(axis=1)
    highest = np.maximum(wide * -128, wide * 127).sum(axis=1)
    result: list[Run] = []
    start, low, high = -1, 0, 0

    def close(end: int) -> None:
        if start >= 0:
            inside = np.flatnonzero(words[start:end].any(axis=1))
            result.append(Run(start, words[start : start + int(inside[-1]) + 1]))

    for index in np.flatnonzero(words.any(axis=1)).tolist():
        if not -CENTRE <= lowest[index] <= highest[index] <= 65535 - CENTRE:
            close(index)
            start = -1
            result += [Run(index, words[index : index + 1] * half) for half in _HALVES]
            continue
        if start < 0 or low + lowest[index] < -CENTRE or high + highest[index] > 65535 - CENTRE:
            close(index)
            start, low, high = index, 0, 0
        low, high = low + int(lowest[index]), high + int(highest[index])
    close(len(words))
    return result or [Run(0, words[:1])]


_HALVES = (np.array([[1, 1, 0, 0]], np.int8), np.array([[0, 0, 1, 1]], np.int8))


def channel_words(bias: int, cut: list[Run], constants: list[int]) -> list[int]:
    """The stream of one channel, words of 32 bits; what the lanes start from comes off the bias."""
    words = [bias - CENTRE * len(cut)]
    position = 0
    for index, run in enumerate(cut):
        length = 16 * len(run.weights) - (index < len(cut) - 1)
        words.append(16 * (run.first - position) << 16 | length)
        words += np.ascontiguousarray(run.weights).view("<u4").ravel().tolist()
        position = run.end
    return [word % 2**32 for word in words + constants]
