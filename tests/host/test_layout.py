"""Reshape, Transpose, Concatenation, Split and Slice on the host."""

from __future__ import annotations

import pytest

from tests.support.family_check import check_kind, check_placements
from tests.support.graph_builder import GraphBuilder
from tinyvision.ir import ops
from tinyvision.ir.ops import PadMode
from tinyvision.ir.types import DType


@pytest.mark.parametrize("kind", ["Reshape", "Transpose", "Concatenation", "Split", "Slice"])
def test_equals_the_oracle_in_every_placement(kind: str) -> None:
    check_kind(kind)


@pytest.mark.parametrize("dtype", [DType.UINT8, DType.INT32, DType.FLOAT32])
def test_elements_of_every_size(dtype: DType) -> None:
    quant = (0.5, 3) if dtype is DType.UINT8 else None
    shape = (1, 3, 4, 2)
    graphs = []
    for kind, out, attributes in (
        (ops.Reshape, (12, 2), {}),
        (ops.Transpose, (), {"perm": (0, 3, 2, 1)}),
        (ops.Slice, (1, 2, 2, 2), {"begin": (0, 2, 0, 0), "strides": (1, -2, 2, 1)}),
        (ops.Pad, (), {"pads": ((0, 0), (1, 2), (2, 0), (0, 0))}),
        (ops.Pad, (), {"pads": ((0, 0), (1, 2), (2, 0), (0, 1)), "mode": PadMode.REFLECT}),
        (ops.ResizeNearest, (1, 5, 7, 2), {}),
    ):
        builder = GraphBuilder()
        x = builder.input(shape, quant, dtype)
        graphs.append(builder.build(builder.op(kind, x, shape=out, dtype=dtype, **attributes)))
    builder = GraphBuilder()
    parts = [builder.input(shape, quant, dtype), builder.input((1, 3, 4, 1), quant, dtype)]
    graphs.append(builder.build(builder.op(ops.Concatenation, *parts, axis=3, dtype=dtype)))
    check_placements(graphs)
