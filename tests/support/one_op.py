"""Graphs of a single operator, and what tflite-runtime's reference kernels make of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.tflite_writer import write
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import Array, DType, QuantParams, Tensor


def quant(scale: float, zero_point: int = 0) -> QuantParams:
    """Per-tensor parameters with the scale a float32, as in a file."""
    return QuantParams((float(np.float32(scale)),), (zero_point,))


def tensor(
    name: str,
    shape: Sequence[int],
    scale: float = 1.0,
    zero_point: int = 0,
    dtype: DType = DType.INT8,
) -> Tensor:
    return Tensor(name, tuple(shape), dtype, quant(scale, zero_point))


def constant(name: str, data: Array, params: QuantParams | None = None) -> Tensor:
    return Tensor(name, data.shape, DType(data.dtype.name), params, data)


def one_op(op: Op, tensors: Sequence[Tensor]) -> Graph:
    """A graph of ``op`` alone; its inputs that are not constant are fed."""
    by_name = {t.name: t for t in tensors}
    fed = tuple(name for name in dict.fromkeys(op.inputs) if not by_name[name].is_constant)
    return Graph(op.name, by_name, (op,), fed, op.outputs)


def tflite_run(model: bytes, inputs: Sequence[Array]) -> list[Array]:
    """Outputs of ``model`` by tflite-runtime's reference kernels; skips the test without it.

    tflite-runtime 2.14 is built for numpy 1; with numpy 2 it imports, and fails when used.
    """
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        pytest.skip("tflite-runtime needs numpy < 2")
    runtime = pytest.importorskip("tflite_runtime.interpreter")
    interpreter = runtime.Interpreter(
        model_content=model,
        experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def random_inputs(graph: Graph, rng: np.random.Generator) -> list[Array]:
    """Uniform over the whole range of each integer input, in its external element type."""
    arrays = []
    for name in graph.inputs:
        dtype = graph.external_dtype(name).numpy
        shape = graph.tensor(name).shape
        if dtype.kind == "f":
            quantized = graph.tensor(name).quant or graph.output_tensors(graph.ops[0])[0].quant
            assert quantized is not None
            arrays.append((rng.normal(size=shape) * 90 * quantized.scale).astype(dtype))
        else:
            info = np.iinfo(dtype)
            arrays.append(rng.integers(info.min, info.max, shape, dtype, endpoint=True))
    return arrays


def assert_equals_tflite(graph: Graph, inputs: Sequence[Array]) -> None:
    """The oracle and tflite-runtime agree in every bit, shape and element type."""
    expected = tflite_run(write(graph), inputs)
    actual = reference.run(graph, inputs)
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
