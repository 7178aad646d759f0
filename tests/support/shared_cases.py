"""Layers of many shapes whose kernels may share functions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from tests.support.graph_builder import GraphBuilder
from tests.support.kernel_check import merge
from tests.support.simple_plan import simple_plan
from tinyvision.codegen.instances import build
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Add, Conv2D, DepthwiseConv2D, Op, Padding
from tinyvision.ir.types import DType
from tinyvision.kernels.choose import candidates
from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.plan import Plan
from tinyvision.target.core import Core

OUTPUTS = ((-128, (-128, 127)), (5, (-128, 127)), (-20, (-20, 90)))
"""Zero point and clamp: of a rectifier, of none, of one that is cut off."""
DEPTHS = (1, 2, 3, 4, 7, 8, 16, 17, 18, 20, 33, 48)
SIZES = ((1, 1), (1, 3), (3, 2), (3, 3), (4, 4), (2, 5))


def weighted(
    seed: int, kind: type[Op], size: tuple[int, ...], weights: tuple[int, ...], **attributes: object
) -> Graph:
    rng = np.random.default_rng(seed)
    builder = GraphBuilder()
    depthwise = kind is DepthwiseConv2D
    channels = weights[3] if depthwise else weights[0]
    depth = weights[3]
    taps = int(np.prod(weights)) // channels
    zero_point, clamp = OUTPUTS[seed % len(OUTPUTS)]
    x = builder.input((1, *size, depth), (1.0, int(rng.integers(-128, 128))))
    w = builder.constant(rng.integers(-127, 128, weights), (1.0, 0))
    b = builder.constant(rng.integers(-1000, 1000, channels), dtype=DType.INT32)
    y = builder.op(kind, x, w, b, quant=(30.0 * taps**0.5, zero_point), clamp=clamp, **attributes)
    return builder.build(y)


def pointwise() -> list[Graph]:
    return [
        weighted(
            seed,
            Conv2D,
            SIZES[seed * 5 % 6],
            ((8, 3, 2, 1, 5)[seed % 5], 1, 1, depth),
            stride=(1, 1),
        )
        for seed, depth in enumerate(DEPTHS * 2)
    ]


def depthwise() -> list[Graph]:
    shapes = product(((3, 3), (5, 2)), (1, 2), (1, 4, 6, 11))
    return [
        weighted(
            seed,
            DepthwiseConv2D,
            (6 + seed % 3, 5 + seed % 4),
            (1, *kernel, channels),
            stride=(stride, stride),
            padding=Padding(1, seed % 2, 1, (seed + 1) % 2),
        )
        for seed, (kernel, stride, channels) in enumerate(shapes)
    ]


def sums() -> list[Graph]:
    graphs = []
    for seed, channels in enumerate((1, 3, 4, 8, 9, 16, 4, 20)):
        builder = GraphBuilder()
        scales = (0.5, 0.7) if seed % 2 else (0.9, 0.4)
        a, b = (
            builder.input((1, 2, 3 + seed, channels), (scale, 3 * seed - 9)) for scale in scales
        )
        zero_point, clamp = OUTPUTS[seed % 2]
        graphs.append(builder.build(builder.op(Add, a, b, quant=(1.1, zero_point), clamp=clamp)))
    return graphs


CASES: dict[str, Callable[[], list[Graph]]] = {
    "pointwise": pointwise,
    "depthwise": depthwise,
    "sums": sums,
}


def variants(graphs: list[Graph], core: Core) -> dict[str, list[Graph]]:
    """By variant of a kernel that layers may share, the graphs of one operator that have it."""
    found: dict[str, list[Graph]] = {}
    for graph in graphs:
        (op,) = graph.ops
        for kernel in candidates(graph, op, core):
            if build(graph, op, kernel).varying:
                found.setdefault(kernel.variant, []).append(graph)
    return found


def planned(graphs: list[Graph], core: Core, variant: str) -> tuple[Graph, Plan]:
    """All of them side by side, each by the kernel ``variant``."""

    def choice(op: Op, kernels: tuple[Kernel, ...]) -> Kernel:
        return next(kernel for kernel in kernels if kernel.variant == variant)

    graph = merge(graphs)
    return graph, simple_plan(graph, core, choice)
