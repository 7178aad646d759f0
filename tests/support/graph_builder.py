"""Writes graphs down in few words: names are made up and shapes follow from the operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.shapes import output_shapes
from tinyvision.ir.types import Array, DType, QuantParams, Tensor

Quant = tuple[float, int]


def quantized(scale: float, zero_point: int) -> QuantParams:
    """Per-tensor parameters; the scale is rounded to float32, as files hold it."""
    return QuantParams((float(np.float32(scale)),), (zero_point,))


class GraphBuilder:
    """Collects tensors and operators; every method returns the name of what it added."""

    def __init__(self, name: str = "test") -> None:
        self.name = name
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.inputs: list[str] = []

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def quant(self, name: str) -> Quant:
        return self.tensors[name].scale, self.tensors[name].zero_point

    def input(
        self,
        shape: tuple[int, ...],
        quant: Quant | None = (0.05, 3),
        dtype: DType = DType.INT8,
        name: str = "",
    ) -> str:
        name = self._add(name or f"in{len(self.inputs)}", shape, dtype, quant)
        self.inputs.append(name)
        return name

    def constant(
        self, data: Array, quant: Quant | QuantParams | None = None, dtype: DType = DType.INT8
    ) -> str:
        return self._add("const", data.shape, dtype, quant, data.astype(dtype.numpy))

    def op(
        self,
        kind: type[Op],
        *inputs: str,
        quant: Quant | None = None,
        shape: tuple[int, ...] = (),
        dtype: DType = DType.INT8,
        **attributes: Any,
    ) -> str:
        """An operator with one output, quantized as its first input unless ``quant`` is given.

        ``shape`` only for operators whose inputs leave it open.
        """
        name = f"{kind.__name__.lower()}{len(self.ops)}"
        quantization = None
        if dtype is not DType.FLOAT32:
            quantization = quantized(*quant) if quant else self.tensors[inputs[0]].quant
        op = kind(name=name, inputs=inputs, outputs=(name,), **attributes)
        self.tensors[name] = Tensor(name, shape, dtype, quantization)
        (shape,) = output_shapes(self._graph([name]), op)
        self.tensors[name] = Tensor(name, shape, dtype, quantization)
        self.ops.append(op)
        return name

    def split(self, x: str, sizes: tuple[int, ...], axis: int) -> list[str]:
        name = f"split{len(self.ops)}"
        shape = self.shape(x)
        outputs = [
            self._add(f"{name}_{i}", (*shape[:axis], size, *shape[axis + 1 :]), DType.INT8, None)
            for i, size in enumerate(sizes)
        ]
        for output in outputs:
            tensor = self.tensors[output]
            self.tensors[output] = Tensor(output, tensor.shape, DType.INT8, self.tensors[x].quant)
        self.ops.append(ops.Split(name=name, inputs=(x,), outputs=tuple(outputs), axis=axis))
        return outputs

    def weighted(
        self,
        kind: type[Op],
        x: str,
        weights: Array,
        bias: Array | None = None,
        *,
        quant: Quant = (0.1, 0),
        scales: tuple[float, ...] = (0.01,),
        shape: tuple[int, ...] = (),
        **attributes: Any,
    ) -> str:
        """Conv2D, DepthwiseConv2D, TransposeConv2D or FullyConnected.

        FullyConnected gives one row to each row of ``x``'s elements unless ``shape`` says so.
        """
        axis = 3 if kind is ops.DepthwiseConv2D else 0
        channels = weights.shape[axis]
        params = QuantParams(
            tuple(float(np.float32(scale)) for scale in scales),
            (0,) * len(scales),
            axis if len(scales) > 1 else None,
        )
        if kind is ops.FullyConnected and not shape:
            shape = (int(np.prod(self.shape(x))) // weights.shape[1], channels)
        products = tuple(self.quant(x)[0] * scale for scale in params.scales)
        bias_params = QuantParams(products, params.zero_points, 0 if len(scales) > 1 else None)
        zeros = np.zeros(channels, np.int32)
        return self.op(
            kind,
            x,
            self.constant(weights, params),
            self.constant(zeros if bias is None else bias, bias_params, DType.INT32),
            quant=quant,
            shape=shape,
            **attributes,
        )

    def build(self, *outputs: str, interface: Mapping[str, DType] | None = None) -> Graph:
        return self._graph(list(outputs), interface)

    def _graph(self, outputs: list[str], interface: Mapping[str, DType] | None = None) -> Graph:
        return Graph(
            name=self.name,
            tensors=dict(self.tensors),
            ops=tuple(self.ops),
            inputs=tuple(self.inputs),
            outputs=tuple(outputs),
            interface=dict(interface or {}),
        )

    def _add(
        self,
        hint: str,
        shape: tuple[int, ...],
        dtype: DType,
        quant: Quant | QuantParams | None,
        data: Array | None = None,
    ) -> str:
        name = hint if hint not in self.tensors else f"{hint}_{len(self.tensors)}"
        params = quantized(*quant) if isinstance(quant, tuple) else quant
        self.tensors[name] = Tensor(name, tuple(shape), dtype, params, data)
        return name
