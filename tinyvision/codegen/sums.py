"""What turns a layer's sums into int8: four words a channel, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyvision.codegen.instances.instance import Value
from tinyvision.codegen.packing import channel_params, requant_context
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array
from tinyvision.kernels.narrow_requant import Weighted
from tinyvision.kernels.one_shift import OneShift, one_shift
from tinyvision.kernels.requant import requantization


@dataclass(frozen=True, eq=False)
class Sums:
    """``words``: for sums as they are, and for those multiplied by ``2**scale``, (channels, 4)
    int64: what a sum starts from, multiplier, addend and shift. ``context`` is that of
    ``kernels/_tail.j2``.
    """

    words: tuple[Array, Array]
    context: dict[str, Value]


def sums_of(
    graph: Graph,
    op: Weighted,
    bias: Array,
    scale: int = 0,
    biases: tuple[Array, Array] | None = None,
) -> Sums:
    """``bias``: what sums start from, int32; ``biases``: the least and the most that one shift may
    add to it.
    """
    requant = requantization(graph, op)
    context = requant_context(requant)
    plain = one_shift(graph, op, biases=biases)
    scaled = one_shift(graph, op, scale) if scale else plain
    if plain is not None and scaled is not None:
        words = (
            _one_shift_words(bias, plain),
            _one_shift_words(bias.astype(np.int64) << scale, scaled),
        )
        return Sums(words, {**context, "form": 2, "one_shift": plain.shift, "ties": 0})
    general = channel_params(bias, requant).astype(np.int64)
    shifted = general * [2**scale, 1, 1, 1]
    return Sums((general, shifted), {**context, "form": int(requant.fast), "one_shift": 0})


def _one_shift_words(bias: Array, found: OneShift) -> Array:
    columns = (bias + found.bias, found.multiplier, found.addend, np.zeros_like(found.bias))
    words: Array = np.stack(columns, axis=1)
    return words
