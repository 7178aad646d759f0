"""The closest placement that a kernel declares is the closest there is."""

from __future__ import annotations

import pytest

from tests.support.graph_builder import GraphBuilder
from tests.support.kernel_check import check_plan, merge
from tests.support.overlap_plan import Sharing, overlap_plan
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Padding
from tinyvision.kernels.choose import candidates
from tinyvision.kernels.kernel import Kernel
from tinyvision.target import CORES


def unary(kind: type[ops.Op], shape: tuple[int, ...], out: tuple[int, ...] = (), **attributes):
    builder = GraphBuilder()
    x = builder.input(shape)
    return builder.build(builder.op(kind, x, shape=out, **attributes))


def concatenation() -> Graph:
    builder = GraphBuilder()
    parts = [builder.input((5, 3)), builder.input((5, 4))]
    return builder.build(builder.op(ops.Concatenation, *parts, axis=1))


SAME = Padding(1, 1, 1, 1)
GRAPHS = {
    "pad": unary(ops.Pad, (1, 4, 5, 3), pads=((0, 0), (1, 1), (1, 1), (0, 0)), value=-128),
    "max_pool": unary(ops.MaxPool2D, (1, 5, 5, 3), window=(3, 3), stride=(1, 1), padding=SAME),
    "average_pool": unary(
        ops.AveragePool2D, (1, 5, 5, 3), window=(3, 3), stride=(1, 1), padding=SAME
    ),
    "transpose": unary(ops.Transpose, (6, 7), perm=(1, 0)),
    "slice": unary(ops.Slice, (9, 5), (9, 5), begin=(8, 0), strides=(-1, 1)),
    "nearest": unary(ops.ResizeNearest, (1, 3, 4, 2), (1, 6, 8, 2)),
    "bilinear": unary(ops.ResizeBilinear, (1, 3, 4, 2), (1, 6, 8, 2)),
    "concatenation": concatenation(),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_one_byte_closer_destroys_input(name: str) -> None:
    graph = GRAPHS[name]
    (op,) = graph.ops
    (kernel,) = candidates(graph, op, CORES["cortex-m0plus"])
    assert kernel.overlap[0], "the closest placement is not in place"

    def closer(op: Op, offered: tuple[Kernel, ...]) -> Kernel:
        return Kernel(
            kernel.template,
            kernel.variant,
            flash_bytes=kernel.flash_bytes,
            overlap=(kernel.overlap[0] - 1, *kernel.overlap[1:]),
        )

    merged = merge([graph])
    plan = overlap_plan(merged, CORES["cortex-m0plus"], {f"g0_{op.name}": Sharing(0)}, closer)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        check_plan(merged, plan)
