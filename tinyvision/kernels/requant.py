"""How an accumulator becomes int8: the cheapest sequence that is provably exact for a layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D, FullyConnected
from tinyvision.ir.types import Array, DType

WORDS_BYTES = 16
"""Of a channel's int32 words: what its sum starts from, multiplier, addend, shift."""


@dataclass(frozen=True)
class Requantization:
    """Factors and clamp of a layer's output.

    ``fast``: every shift goes right and no sum can leave 32 bits, so that one rounding multiply
    with the rounding constant and zero point in its addend replaces the general sequence; then
    ``shifts`` counts to the right, else to the left. ``ties``: negative ties must be corrected
    (where nothing below the zero point survives the clamp they need not be).
    """

    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    zero_point: int
    clamp: tuple[int, int]
    fast: bool
    ties: bool

    @property
    def per_channel(self) -> bool:
        """Whether factors differ between channels; one entry of each table suffices otherwise."""
        return len(set(zip(self.multipliers, self.shifts, strict=True))) > 1

    @property
    def table_bytes(self) -> int:
        """Bytes of the multiplier (int32) and shift (int8) tables."""
        return 5 * (len(self.multipliers) if self.per_channel else 1)


def requantization(graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected) -> Requantization:
    """The requantization of ``op``, fast where the weights prove that it is exact.

    Raises NotImplementedError where input, weights or output are not int8.
    """
    for name in (op.inputs[0], op.inputs[1], op.outputs[0]):
        if graph.tensor(name).dtype is not DType.INT8:
            dtype = graph.tensor(name).dtype.value
            raise NotImplementedError(f"{op.kind} {op.name!r} has no kernel for {dtype} ({name!r})")
    params = conv_requant(graph, op)
    bounds = accumulator_bounds(graph, op)
    # A multiplier of zero gives the zero point whatever the shift.
    shifts = [s if m else -1 for m, s in zip(params.multipliers, params.shifts, strict=True)]
    zero_point = params.output_zero_point
    fast = all(
        is_fast(int(bound), multiplier, -shift, zero_point)
        for bound, multiplier, shift in zip(bounds, params.multipliers, shifts, strict=True)
    )
    return Requantization(
        multipliers=params.multipliers,
        shifts=tuple(-s for s in shifts) if fast else tuple(shifts),
        zero_point=zero_point,
        clamp=op.clamp,
        fast=fast,
        ties=op.clamp[0] < zero_point,
    )


def accumulator_bounds(graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected) -> Array:
    """The largest magnitude (int64) that each channel's sum can reach, bias included."""
    params = conv_requant(graph, op)
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    magnitudes = np.abs(weights.astype(np.int64) - params.weights_zero_point)
    axis = 3 if isinstance(op, DepthwiseConv2D) else 0
    sums = np.moveaxis(magnitudes, axis, 0).reshape(bias.size, -1).sum(axis=1)
    reach = max(127 - params.input_zero_point, 128 + params.input_zero_point)
    limit = np.int64(2**62)
    bounds: Array = sums * reach + np.minimum(np.abs(np.clip(bias, -limit, limit)), limit)
    return bounds


def is_fast(bound: int, multiplier: int, right: int, zero_point: int) -> bool:
    """Whether sums of magnitude ``bound`` at most stay inside 32 bits all through the fast
    sequence: doubled, multiplied, and with rounding constant and zero point added.
    """
    if right < 1 or bound >= 2**30:
        return False
    product = (bound * multiplier >> 31) + 2
    return product + (1 << (right - 1)) + (abs(zero_point) << right) < 2**31
