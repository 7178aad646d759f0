"""Add and Sub by a table for each operand: what an element contributes to the output, in fractions.

    output = SSAT((of_a[a] + of_b[b]) >> fraction)

TFLite rounds three times; 65,536 pairs of elements are few enough to prove every one of them. Where
no offset makes all of them right (a negative tie that is rounded away from zero, mostly), or where
the clamp is not int8's range, there is no such kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tinyvision.ir.derive import AddParams, add_params
from tinyvision.ir.graph import Graph
from tinyvision.ir.numerics import multiply_by_quantized_multiplier
from tinyvision.ir.ops import Add, Op, Sub
from tinyvision.ir.types import Array
from tinyvision.target.core import Core

TEMPLATE, DUAL = "add_tables", "_dual"
TABLE_BYTES = 2 * 256 * 4
LEAST_ELEMENTS = 256
"""Of fewer, copying the tables to RAM takes more time than they save."""
MOST_FRACTION = 24


@dataclass(frozen=True, eq=False)
class Tables:
    """``words``: (2, 256) int32, for the bytes 0 to 255 of a and of b; ``fraction`` in bits."""

    words: Array
    fraction: int


def applies(graph: Graph, op: Op, core: Core) -> bool:
    """Where nothing is broadcast and nothing constant, on cores that load words from anywhere."""
    if not (core.dsp and core.unaligned and isinstance(op, (Add, Sub))):
        return False
    (y,) = graph.output_tensors(op)
    same = all(x.elements == y.elements and not x.is_constant for x in graph.input_tensors(op))
    return same and y.elements >= LEAST_ELEMENTS and tables(graph, op) is not None


def tables(graph: Graph, op: Add | Sub) -> Tables | None:
    """The tables of ``op``, proved for every pair of elements."""
    if op.clamp != (-128, 127):
        return None
    return _tables(add_params(graph, op), -1 if isinstance(op, Sub) else 1)


@lru_cache(maxsize=256)
def _tables(params: AddParams, sign: int) -> Tables | None:
    elements = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)
    operands = (params.a_zero_point, params.a, 1), (params.b_zero_point, params.b, sign)
    of_a, of_b = (
        side
        * multiply_by_quantized_multiplier(
            (elements - zero_point) << params.left_shift, by.multiplier, by.shift
        )
        for zero_point, by, side in operands
    )
    total = of_a[:, None] + of_b
    output = params.output.multiplier, params.output.shift
    wanted = multiply_by_quantized_multiplier(total, *output) + params.output_zero_point
    wanted = np.clip(wanted, -128, 127)
    scale = params.output.multiplier * 2.0 ** (params.output.shift - 31)
    most = scale * (np.abs(of_a).max() + np.abs(of_b).max()) + abs(params.output_zero_point) + 1
    fraction = min(int(np.floor(31 - np.log2(most))), MOST_FRACTION)
    if fraction < 1:
        return None
    first, second = (
        np.rint(part * scale * 2.0**fraction).astype(np.int64) for part in (of_a, of_b)
    )
    sums = first[:, None] + second
    # What is to be added to every sum: enough for its output, too little for the next.
    least = ((wanted << fraction) - sums)[wanted > -128].max(initial=-(2**40))
    highest = (((wanted + 1) << fraction) - 1 - sums)[wanted < 127].min(initial=2**40)
    offset = int(min(max((least + highest) // 2, -(2**30)), 2**30))
    words = np.stack((first, second + offset))
    ends = words.min(axis=1).sum(), words.max(axis=1).sum()
    if not least <= offset <= highest or min(ends) < -(2**31) or max(ends) >= 2**31:
        return None
    return Tables(words.astype(np.int32), fraction)
