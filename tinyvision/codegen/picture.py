"""What the pre-processing header of a network that takes pictures is rendered of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array, DType
from tinyvision.preprocess import pixel_values
from tinyvision.schedule.plan import Plan


@dataclass(frozen=True)
class Picture:
    """``table``: the value in a row of ``row_type`` for each value of a pixel; None where that is
    the pixel, or, in int8, the pixel - 128. ``by_row``: rows are what ``push_rows`` takes.
    """

    fit: str
    row_type: str
    table: Array | None
    by_row: bool


def picture(graph: Graph, plan: Plan) -> Picture | None:
    """Of a graph whose only input is an int8 picture, grey or coloured; else None."""
    if len(graph.inputs) != 1:
        return None
    tensor, external = graph.tensor(graph.inputs[0]), graph.external_dtype(graph.inputs[0])
    shape = tensor.shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3) or tensor.dtype is not DType.INT8:
        return None
    values = pixel_values(tensor.scale, tensor.zero_point).astype(np.int16)
    unsigned = external is DType.UINT8
    values += 128 if unsigned else 0
    plain = np.array_equal(values, np.arange(256) - (0 if unsigned else 128))
    return Picture(
        fit=graph.fit,
        row_type="uint8_t" if unsigned else "int8_t",
        table=None if plain else values,
        by_row=plan.rows_arrive and external is not DType.FLOAT32,
    )
