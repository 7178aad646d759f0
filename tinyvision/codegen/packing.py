"""Constants in the order in which kernels read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinyvision.codegen.instances.instance import ConstArg, Value
from tinyvision.ir.types import Array
from tinyvision.kernels.requant import Requantization


def folded_bias(bias: Array, weight_sums: Array, input_zero_point: int) -> Array:
    """``bias - input_zero_point * weight_sums``, wrapped to int32 as the accumulators are: what is
    left to sum is input times weight, the padding being the zero point.
    """
    folded: Array = bias.astype(np.int64) - input_zero_point * weight_sums.astype(np.int64)
    return folded.astype(np.int32)


def wrapped(bias: Array) -> Array:
    """A bias as the int32 accumulators take it."""
    return bias.astype(np.int32)


def requant_tables(requant: Requantization) -> tuple[ConstArg, ConstArg]:
    """Multipliers and shifts, one entry where all channels agree."""
    count = len(requant.multipliers) if requant.per_channel else 1
    return (
        ConstArg("multiplier", np.array(requant.multipliers[:count], np.int32)),
        ConstArg("shift", np.array(requant.shifts[:count], np.int8)),
    )


def requant_context(requant: Requantization) -> dict[str, Value]:
    """What ``kernels/_requant.j2`` needs to know."""
    return {
        "output_zero_point": requant.zero_point,
        "low": requant.clamp[0],
        "high": requant.clamp[1],
        "fast": int(requant.fast),
        "ties": int(requant.ties),
        "per_channel": int(requant.per_channel),
    }


def pack_rows(rows: Array, block: int, *, widened_in_order: bool) -> Array:
    """Weights (groups, channels, taps) int8 for kernels that take ``block`` channels and four taps
    at a time.

    Taps are padded with zeros to a multiple of 4. The channels of a group go in blocks of
    ``block``, then one by one; inside a block, four taps of the first channel are followed by the
    same four of the next. A word of four bytes is widened into its even and its odd bytes: where
    the inputs lie in order (``widened_in_order``), the two middle taps change places so that
    pairs meet.
    """
    groups, channels, taps = rows.shape
    padded = np.zeros((groups, channels, -(-taps // 4) * 4), np.int8)
    padded[:, :, :taps] = rows
    words = padded.reshape(groups, channels, -1, 4)
    if widened_in_order:
        words = words[..., [0, 2, 1, 3]]
    whole = channels - channels % block
    blocks = words[:, :whole].reshape(groups, -1, block, words.shape[2], 4).swapaxes(2, 3)
    parts = (blocks.reshape(groups, -1), words[:, whole:].reshape(groups, -1))
    packed: Array = np.concatenate(parts, axis=1).ravel()
    return packed


def channel_params(bias: Array, requant: Requantization) -> Array:
    """Bias, multiplier, addend and shift of every channel, (channels, 4) int32."""
    shifts = np.array(requant.shifts, np.int64)
    addends = (2 * requant.zero_point + 1) << np.maximum(shifts - 1, 0)
    columns = (bias, requant.multipliers, addends if requant.fast else 0 * shifts, shifts)
    return np.stack([np.asarray(c, np.int64) for c in columns], axis=1).astype(np.int32)


def pack_pairs(taps: Array, starts: Sequence[int]) -> Array:
    """Depthwise weights (channels, rows, columns) int8 as int16 pairs (channels, rows, starts, 2):
    the taps at each of ``starts`` and at the column after it, zero beyond the row.
    """
    channels, rows, columns = taps.shape
    padded = np.zeros((channels, rows, columns + 1), np.int16)
    padded[:, :, :columns] = taps
    pairs: Array = np.stack([padded[:, :, start : start + 2] for start in starts], axis=2)
    return pairs
