"""Moves the conversion between outside and inside element types to the edges of the graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import DType, QuantParams, Tensor
from tinyvision.passes.rewrite import (
    apply_everywhere,
    bypass,
    fresh_name,
    only_consumer,
    rename,
    replace_op,
)

_MOVES = (ops.Reshape, ops.Transpose)


def edge_quantize(graph: Graph) -> Graph:
    """No float32 and no uint8 tensors inside, where all that happens to them is conversion.

    A Quantize of a graph input and a Dequantize to a graph output disappear: the tensor becomes
    int8 under the name it has outside, and ``Graph.interface`` says FLOAT32. A uint8 tensor that
    only requantization reads and writes becomes the int8 tensor of 128 less, with ``interface``
    UINT8 at an edge. Moves of elements between edge and conversion change places with it.
    """
    graph = apply_everywhere(graph, _quantize_before_move, _dequantize_after_move)
    for name in tuple(graph.tensors):
        graph = _to_int8(graph, name)
    for name in graph.inputs:
        graph = _strip_quantize(graph, name)
    return apply_everywhere(graph, _strip_dequantize)


def _strip_quantize(graph: Graph, name: str) -> Graph:
    """float32 input ``name`` that only Quantize operators read, all with one result."""
    consumers = graph.consumers()[name]
    results = [graph.tensor(op.outputs[0]) for op in consumers if isinstance(op, ops.Quantize)]
    if not results or len(results) < len(consumers) or name in graph.outputs:
        return graph
    quant = results[0].quant
    if any(y.dtype is not DType.INT8 or y.quant != quant for y in results):
        return graph
    if any(y.name in graph.outputs for y in results):
        return graph
    tensor = Tensor(name, graph.tensor(name).shape, DType.INT8, quant)
    rest = tuple(op for op in graph.ops if op not in consumers)
    return rename(
        replace(
            graph,
            ops=rest,
            tensors={**graph.tensors, name: tensor},
            interface={**graph.interface, name: DType.FLOAT32},
        ),
        {y.name: name for y in results},
    )


def _strip_dequantize(graph: Graph, op: Op) -> Graph | None:
    if not isinstance(op, ops.Dequantize):
        return None
    (result,) = op.outputs
    if result not in graph.outputs or graph.consumers()[result]:
        return None
    if graph.tensor(op.inputs[0]).dtype is not DType.INT8:
        return None
    stripped = bypass(graph, op)
    if stripped is None:
        return None
    return replace(stripped, interface={**stripped.interface, result: DType.FLOAT32})


def _to_int8(graph: Graph, name: str) -> Graph:
    """uint8 tensor ``name`` as int8, where all operators at it can do with either."""
    tensor = graph.tensors.get(name)
    if tensor is None or tensor.dtype is not DType.UINT8 or tensor.is_constant:
        return graph
    producer = graph.producers().get(name)
    if not isinstance(producer, (ops.Requantize, ops.Quantize, ops.Lookup, type(None))):
        return graph
    consumers = graph.consumers()[name]
    if not all(isinstance(op, (ops.Requantize, ops.Dequantize, ops.Lookup)) for op in consumers):
        return graph
    quant = QuantParams((tensor.scale,), (tensor.zero_point - 128,))
    signed = replace(tensor, dtype=DType.INT8, quant=quant)
    edge = name in graph.inputs or name in graph.outputs
    interface = {**graph.interface, name: DType.UINT8} if edge else graph.interface
    graph = replace(graph, tensors={**graph.tensors, name: signed}, interface=interface)
    if isinstance(producer, ops.Requantize):
        low, high = producer.clamp
        return replace_op(graph, producer, replace(producer, clamp=(low - 128, high - 128)))
    if isinstance(producer, ops.Lookup):
        return _signed_table(graph, producer, quant)
    return graph


def _signed_table(graph: Graph, op: ops.Lookup, quant: QuantParams) -> Graph:
    old = graph.tensor(op.inputs[1])
    assert old.data is not None
    data = (old.data.astype(np.int16) - 128).astype(np.int8)
    table = Tensor(fresh_name(graph.tensors, old.name), (256,), DType.INT8, quant, data)
    return replace_op(graph, op, replace(op, inputs=(op.inputs[0], table.name)), tensors=(table,))


def _quantize_before_move(graph: Graph, op: Op) -> Graph | None:
    """Quantize(move(x)) becomes move(Quantize(x)), where nothing else reads the moved floats."""
    if not isinstance(op, ops.Quantize):
        return None
    move = graph.producers().get(op.inputs[0])
    if not isinstance(move, _MOVES) or only_consumer(graph, op.inputs[0]) is not op:
        return None
    return _swap(graph, move, op)


def _dequantize_after_move(graph: Graph, op: Op) -> Graph | None:
    """move(Dequantize(x)) becomes Dequantize(move(x)), where nothing else reads the floats."""
    if not isinstance(op, _MOVES):
        return None
    convert = graph.producers().get(op.inputs[0])
    if not isinstance(convert, ops.Dequantize) or only_consumer(graph, op.inputs[0]) is not op:
        return None
    return _swap(graph, convert, op)


def _swap(graph: Graph, first: Op, second: Op) -> Graph:
    """``second`` before ``first``: one of them converts, the other moves elements."""
    source, middle, result = (
        graph.tensor(name) for name in (first.inputs[0], *first.outputs, *second.outputs)
    )
    if isinstance(second, ops.Quantize):
        between = replace(source, dtype=result.dtype, quant=result.quant, data=None)
    else:
        between = replace(result, dtype=source.dtype, quant=source.quant)
    between = replace(between, name=middle.name)
    swapped = {
        first.name: replace(second, inputs=(source.name,), outputs=(middle.name,)),
        second.name: replace(first, inputs=(middle.name,), outputs=(result.name,)),
    }
    return graph.with_ops(
        tuple(swapped.get(op.name, op) for op in graph.ops),
        {**graph.tensors, middle.name: between},
    )
