"""Instances of wide depthwise kernels, packed into integers."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances.instance import ConstArg, Instance, ScratchArg, TensorArg, Value
from tinyvision.codegen.packing import wrapped
from tinyvision.codegen.sums import sums_of
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D
from tinyvision.kernels import depthwise_kronecker as kronecker
from tinyvision.kernels.window import Window


def build(graph: Graph, op: DepthwiseConv2D, context: dict[str, Value], shape: Window) -> Instance:
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    found = kronecker.fields(graph, op, shape)
    assert weights is not None and bias is not None and found is not None
    given = wrapped(bias).astype(np.int64)
    sums = sums_of(graph, op, wrapped(bias), biases=(found.least - given, found.most - given))
    (words, _), exact = sums.words, sums.context["form"] == 2
    start = words[:, 0] if exact else found.least
    lacking = words[:, 0] - start
    table = np.column_stack((kronecker.starts(found, start), lacking, words[:, 1:]))
    return Instance(
        args=(
            TensorArg(op.inputs[0]),
            TensorArg(op.outputs[0]),
            ConstArg("weights", kronecker.pack(np.moveaxis(weights[0], 2, 0), shape)),
            ConstArg("words", table.astype(np.uint32).view(np.int32)),
            ScratchArg(),
        ),
        context={
            **context,
            **sums.context,
            "line": 2 * kronecker.line_words(shape),
            "row_words": kronecker.row_words(shape),
            "phase_words": tuple(kronecker.phase_words(shape)),
        },
    )
