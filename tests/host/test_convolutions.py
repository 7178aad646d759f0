"""Conv2D, DepthwiseConv2D and FullyConnected at the edges of shapes and arithmetic, in every
placement that their kernels allow, equal to the oracle under sanitizers.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.support.conv_cases import FAMILIES
from tests.support.family_check import check_placements, drawn
from tests.support.graph_builder import GraphBuilder
from tests.support.kernel_check import check_plan, merge
from tests.support.overlap_plan import Sharing, overlap_plan
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D, FullyConnected, Padding
from tinyvision.ir.types import DType
from tinyvision.kernels.choose import candidates
from tinyvision.target import CORES

PLAIN, SIMD, DUAL, VECTORS = "cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m55"
SAME = Padding(1, 1, 1, 1)


@pytest.mark.parametrize(
    ("family", "core"),
    [*product(FAMILIES, [PLAIN, SIMD, DUAL, VECTORS]), ("fully_connected", "cortex-m33")],
)
def test_equal_to_the_oracle_in_every_placement(family: str, core: str) -> None:
    check_placements(drawn(FAMILIES[family], 28), core)


def weighted(
    kind: type[Conv2D | DepthwiseConv2D | FullyConnected],
    input_shape: tuple[int, ...],
    weights: tuple[int, ...],
    **attributes: object,
) -> Graph:
    rng = np.random.default_rng(0)
    builder = GraphBuilder()
    channels = weights[-1] if kind is DepthwiseConv2D else weights[0]
    taps = int(np.prod(weights)) // channels
    w = builder.constant(rng.integers(-127, 128, weights), (1.0, 0))
    b = builder.constant(rng.integers(-1000, 1000, channels), dtype=DType.INT32)
    x = builder.input(input_shape, (1.0, 3))
    return builder.build(builder.op(kind, x, w, b, quant=(25.0 * taps**0.5, -5), **attributes))


def convolution(
    shape: tuple[int, ...], weights: tuple[int, ...], stride: int = 1, padding: Padding = SAME
) -> Graph:
    return weighted(Conv2D, shape, weights, stride=(stride, stride), padding=padding)


CLOSEST = {
    "pointwise that widens": convolution((1, 5, 5, 3), (8, 1, 1, 3), padding=Padding()),
    "pointwise that narrows": convolution((1, 5, 5, 8), (3, 1, 1, 8), padding=Padding()),
    "3x3": convolution((1, 5, 7, 4), (4, 3, 3, 4)),
    "3x3 in 2 groups": convolution((1, 5, 7, 4), (6, 3, 3, 2)),
    "strided": convolution((1, 8, 8, 3), (16, 3, 3, 3), stride=2),
    "two images": convolution((2, 4, 4, 3), (5, 3, 3, 3)),
    "depthwise": weighted(
        DepthwiseConv2D, (1, 6, 6, 5), (1, 3, 3, 5), stride=(1, 1), padding=Padding(2, 2, 2, 2)
    ),
    "fully connected": weighted(FullyConnected, (3, 9), (12, 9), shape=(3, 12)),
}


@pytest.mark.parametrize("core", [PLAIN, SIMD, VECTORS])
@pytest.mark.parametrize("name", CLOSEST)
def test_one_step_closer_destroys_input(name: str, core: str) -> None:
    graph = CLOSEST[name]
    (op,) = graph.ops
    first, *others = candidates(graph, op, CORES[core])
    alike = [kernel for kernel in (first, *others) if kernel.template == first.template]
    lead, kernel = max(((k.overlap[0] or 0, k) for k in alike), key=lambda pair: pair[0])
    closer = replace(kernel, overlap=(lead - kernel.overlap_step, None, None))
    merged = merge([graph])
    for chosen, good in ((kernel, True), (closer, False)):

        def choice(*_: object, chosen: object = chosen) -> object:
            return chosen

        plan = overlap_plan(merged, CORES[core], {f"g0_{op.name}": Sharing(0)}, choice)
        if good:
            check_plan(merged, plan)
        else:
            with pytest.raises(AssertionError, match="Mismatched elements"):
                check_plan(merged, plan, rounds=30)
