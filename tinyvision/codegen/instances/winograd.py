"""Instances of Conv2D by Winograd's minimal filtering."""

from __future__ import annotations

import numpy as np

from tinyvision.codegen.instances.instance import Arg, ConstArg, Instance, ScratchArg, Value
from tinyvision.codegen.packing import folded_bias
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D
from tinyvision.ir.types import Array
from tinyvision.kernels import winograd_rows
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import Requantization, requantization
from tinyvision.kernels.window import window
from tinyvision.kernels.winograd import Tiling, packed_weights, tiling_of


def build(
    graph: Graph, op: Conv2D, kernel: Kernel, tensors: tuple[Arg, ...], shape: dict[str, Value]
) -> Instance:
    """``shape``: the integers of the window."""
    weights, bias = graph.tensor(op.inputs[1]).data, graph.tensor(op.inputs[2]).data
    assert weights is not None and bias is not None
    geometry, dual = window(graph, op), kernel.variant.endswith("_dual")
    tiling: Tiling | winograd_rows.RowTiling
    if kernel.template == winograd_rows.TEMPLATE:
        tiling = winograd_rows.tiling_of(geometry, kernel.variant)
        packed = winograd_rows.packed_weights(weights, tiling.transform, dual)
        scale, tiles = tiling.transform.odd, {"tiles": tiling.across}
    else:
        tiling = tiling_of(geometry, kernel.variant)
        packed = packed_weights(weights, tiling.transform, dual)
        down = tiling.tiles // tiling.across
        scale = tiling.transform.odd**2
        tiles = {"tiles_across": tiling.across, "tiles_down": down}
    requant = requantization(graph, op)
    zero_point = graph.tensor(op.inputs[0]).zero_point
    sums = weights.sum(axis=(1, 2, 3), dtype=np.int64)
    return Instance(
        args=(
            *tensors,
            ConstArg("weights", packed),
            ConstArg("params", _params(folded_bias(bias, sums, zero_point + 128), requant)),
            ScratchArg(),
        ),
        context={
            **shape,
            **tiles,
            "input_zero_point": zero_point,
            "low": requant.clamp[0],
            "high": requant.clamp[1],
            "ties": int(requant.ties),
            "size": tiling.transform.size,
            "block": tiling.block,
            "inputs_bytes": tiling.inputs_bytes,
            "shifts": tiling.transform.shifts,
            "odd": tiling.transform.odd,
            "inverse": pow(scale, -1, 2**32),
            "dual": int(dual),
        },
    )


def _params(bias: Array, requant: Requantization) -> Array:
    """Twice the bias, multiplier, addend and shift of every channel, int32."""
    shifts = np.array(requant.shifts, np.int64)
    addends = (2 * requant.zero_point + 1) << (shifts - 1)
    columns = (2 * bias.astype(np.int64), np.array(requant.multipliers), addends, shifts)
    params: Array = np.stack(columns, axis=1).astype(np.int32)
    return params
