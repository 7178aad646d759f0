"""Instances of Pad."""

from __future__ import annotations

from math import prod

from tinyvision.codegen.instances.instance import C_TYPES, Instance, TensorArg
from tinyvision.codegen.instances.nest import strides
from tinyvision.codegen.instances.operands import operand
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Pad, PadMode
from tinyvision.kernels.kernel import Kernel


def build(graph: Graph, op: Op, kernel: Kernel) -> Instance:
    assert isinstance(op, Pad)
    (x,), (y,) = graph.input_tensors(op), graph.output_tensors(op)
    # The row: the innermost padded axis and what lies inside it.
    row = max((axis for axis, pad in enumerate(op.pads) if any(pad)), default=0)
    run = prod(x.shape[row + 1 :])
    outer = [axis for axis in range(row) if x.shape[axis] > 1 or any(op.pads[axis])]
    axes = [*outer, row] if x.shape else []
    shape = tuple(x.shape[axis] for axis in axes) or (1,)
    pads = tuple(op.pads[axis] for axis in axes) or ((0, 0),)
    args = (operand(x, "input"), TensorArg(y.name))
    c_type = C_TYPES[x.dtype.value]
    if op.mode is PadMode.CONSTANT:
        inner = strides(tuple(sum(pad) + size for pad, size in zip(pads, shape, strict=True)))
        return Instance(
            args,
            {
                "type": c_type,
                "value": op.value & 0xFF,
                "counts": shape[:-1],
                "before": tuple(p[0] * n * run for p, n in zip(pads[:-1], inner[:-1], strict=True)),
                "after": tuple(p[1] * n * run for p, n in zip(pads[:-1], inner[:-1], strict=True)),
                "row": shape[-1] * run,
                "left": pads[-1][0] * run,
                "right": pads[-1][1] * run,
            },
        )
    return Instance(
        args,
        {
            "type": c_type,
            "repeat_edge": int(op.mode is PadMode.SYMMETRIC),
            "sizes": shape,
            "strides": tuple(step * run for step in strides(shape)),
            "before": tuple(pad[0] for pad in pads),
            "after": tuple(pad[1] for pad in pads),
            "run": run,
        },
    )
