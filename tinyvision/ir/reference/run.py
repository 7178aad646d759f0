"""Executes a graph operator by operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.reference import activation, convolution, elementwise, movement, spatial
from tinyvision.ir.types import Array, DType

_SEMANTICS: dict[type[ops.Op], Callable[..., Array | tuple[Array, ...]]] = {
    ops.Conv2D: convolution.conv2d,
    ops.DepthwiseConv2D: convolution.depthwise_conv2d,
    ops.TransposeConv2D: convolution.transpose_conv2d,
    ops.FullyConnected: convolution.fully_connected,
    ops.BatchMatMul: convolution.batch_matmul,
    ops.Add: elementwise.add,
    ops.Sub: elementwise.sub,
    ops.Mul: elementwise.mul,
    ops.Minimum: elementwise.minimum,
    ops.Maximum: elementwise.maximum,
    ops.Requantize: elementwise.requantize,
    ops.LeakyRelu: elementwise.leaky_relu,
    ops.Prelu: elementwise.prelu,
    ops.Quantize: elementwise.quantize,
    ops.Dequantize: elementwise.dequantize,
    ops.Softmax: activation.softmax,
    ops.Logistic: activation.logistic,
    ops.Tanh: activation.tanh,
    ops.HardSwish: activation.hard_swish,
    ops.Gelu: activation.gelu,
    ops.Lookup: activation.lookup,
    ops.AveragePool2D: spatial.average_pool2d,
    ops.MaxPool2D: spatial.max_pool2d,
    ops.Mean: spatial.mean,
    ops.ResizeNearest: spatial.resize_nearest,
    ops.ResizeBilinear: spatial.resize_bilinear,
    ops.Pad: movement.pad,
    ops.Reshape: movement.reshape,
    ops.Transpose: movement.transpose,
    ops.Concatenation: movement.concatenation,
    ops.Split: movement.split,
    ops.Slice: movement.slice_,
}

Feed = Sequence[Array] | Mapping[str, Array]


def evaluate(graph: Graph, op: ops.Op, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """The outputs of one operator of ``graph`` for ``arrays``, one for each of ``op.inputs``.

    Constants are taken from ``arrays`` too. Every output has its tensor's shape and dtype.
    """
    result = _SEMANTICS[type(op)](graph, op, *arrays)
    outputs = result if isinstance(result, tuple) else (result,)
    for name, array in zip(op.outputs, outputs, strict=True):
        tensor = graph.tensor(name)
        if array.shape != tensor.shape or array.dtype != tensor.dtype.numpy:
            raise ValueError(
                f"{op.name!r} gives {array.dtype}{array.shape}, but {name!r} is "
                f"{tensor.dtype.value}{tensor.shape}"
            )
    return outputs


def run(graph: Graph, inputs: Feed) -> list[Array]:
    """The graph's outputs for ``inputs``, both in their external element types.

    ``inputs``: an array for each input, in order or by name, of exactly its shape.
    """
    values = run_all(graph, inputs)
    return [_read(graph, name, values[name]) for name in graph.outputs]


def run_all(graph: Graph, inputs: Feed) -> dict[str, Array]:
    """Every tensor's value by name, constants included, each in its own element type.

    ``inputs`` as in ``run``, in their external element types.
    """
    values: dict[str, Array] = {
        name: tensor.data for name, tensor in graph.tensors.items() if tensor.data is not None
    }
    values.update(_feed(graph, inputs))
    for op in graph.ops:
        outputs = evaluate(graph, op, [values[name] for name in op.inputs])
        values.update(zip(op.outputs, outputs, strict=True))
    return values


def _feed(graph: Graph, inputs: Feed) -> dict[str, Array]:
    if not isinstance(inputs, Mapping):
        if len(inputs) != len(graph.inputs):
            raise ValueError(f"{graph.name!r} takes {len(graph.inputs)} inputs, got {len(inputs)}")
        inputs = dict(zip(graph.inputs, inputs, strict=True))
    elif set(inputs) != set(graph.inputs):
        raise ValueError(f"{graph.name!r} takes {graph.inputs}, got {tuple(inputs)}")
    return {name: _write(graph, name, np.asarray(inputs[name])) for name in graph.inputs}


def _write(graph: Graph, name: str, array: Array) -> Array:
    """An input as it is fed, in the element type of its tensor."""
    tensor, external = graph.tensor(name), graph.external_dtype(name)
    if array.shape != tensor.shape or array.dtype != external.numpy:
        raise ValueError(
            f"input {name!r} is {external.value}{tensor.shape}, got {array.dtype}{array.shape}"
        )
    if external is tensor.dtype:
        return array
    if external is DType.FLOAT32:
        return elementwise.quantize_to(tensor, array)
    return _flip(array, external, tensor.dtype)


def _read(graph: Graph, name: str, array: Array) -> Array:
    """An output as it is read."""
    tensor, external = graph.tensor(name), graph.external_dtype(name)
    if external is tensor.dtype:
        return array
    if external is DType.FLOAT32:
        return elementwise.dequantize_from(tensor, array)
    return _flip(array, tensor.dtype, external)


def _flip(array: Array, source: DType, target: DType) -> Array:
    """Between int8 and uint8, which differ by 128."""
    if {source, target} != {DType.INT8, DType.UINT8}:
        raise ValueError(f"no conversion from {source.value} to {target.value} at the edge")
    flipped: Array = array.view(np.uint8) ^ np.uint8(0x80)
    return flipped.view(target.numpy)
