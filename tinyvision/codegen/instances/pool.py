"""Instances of AveragePool2D and MaxPool2D."""

from __future__ import annotations

from tinyvision.codegen.instances.instance import Instance, TensorArg
from tinyvision.codegen.instances.operands import operand
from tinyvision.ir.derive import window_spans
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import AveragePool2D, MaxPool2D, Op
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.lanes import lanes_of


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, (AveragePool2D, MaxPool2D))
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    rows = window_spans(x.shape[1], y.shape[1], op, 0)
    columns = window_spans(x.shape[2], y.shape[2], op, 1)
    return Instance(
        args=(operand(x, "input"), TensorArg(y.name)),
        context={
            "rows_only": 0,
            "lanes": lanes_of(kernel),
            "batch": x.shape[0],
            "height": x.shape[1],
            "width": x.shape[2],
            "channels": x.shape[3],
            "output_height": y.shape[1],
            "output_width": y.shape[2],
            "window_h": op.window[0],
            "window_w": op.window[1],
            "stride_h": op.stride[0],
            "stride_w": op.stride[1],
            "top": op.padding.top,
            "left": op.padding.left,
            # Whether every window lies inside the input.
            "whole_rows": int(all(count == op.window[0] for _, count in rows)),
            "whole_columns": int(all(count == op.window[1] for _, count in columns)),
            "low": op.clamp[0],
            "high": op.clamp[1],
        },
    )
