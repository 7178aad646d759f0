"""What turns a layer's sums into int8: four words a channel, and what they mean."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances.instance import Value
from tinyvision.codegen.packing import channel_params, requant_context
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array
from tinyvision.kernels.narrow_requant import Weighted
from tinyvision.kernels.one_shift import one_shift
from tinyvision.kernels.requant import requantization


def sum_words(graph: Graph, op: Weighted, bias: Array) -> tuple[Array, dict[str, Value]]:
    """(channels, 4) int32: what a sum starts from (``bias``, int32, has the input's zero point
    folded in), multiplier, addend and shift; and the context of ``kernels/_tail.j2``.
    """
    requant, found = requantization(graph, op), one_shift(graph, op)
    context = requant_context(requant)
    if found is None:
        words = channel_params(bias, requant).reshape(-1, 4)[: bias.size]
        return words, {**context, "form": int(requant.fast), "one_shift": 0}
    columns = (bias + found.bias, found.multiplier, found.addend, np.zeros_like(found.bias))
    words = np.stack(columns, axis=1).astype(np.int32)
    return words, {**context, "form": 2, "one_shift": found.shift, "ties": 0}
