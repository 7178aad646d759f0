"""Writes an ``ir.Graph`` as a complete ``.tflite`` file, for tests that need files.

The inverse of the importer, written independently of it: what the intermediate representation
states in integers (padding, clamps) is turned back into the names the format has for it, and a
``ValueError`` says where there is none.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isinf
from typing import Any

import flatbuffers
import numpy as np
import tflite

from tinyvision.ir import ops as ir
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array, DType, QuantParams, Tensor

TENSOR_TYPES = {
    DType.FLOAT32: tflite.TensorType.FLOAT32,
    DType.INT8: tflite.TensorType.INT8,
    DType.UINT8: tflite.TensorType.UINT8,
    DType.INT16: tflite.TensorType.INT16,
    DType.INT32: tflite.TensorType.INT32,
    DType.INT64: tflite.TensorType.INT64,
    DType.BOOL: tflite.TensorType.BOOL,
}

ACTIVATIONS: dict[str, tuple[float, float]] = {
    "NONE": (-np.inf, np.inf),
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def write(graph: Graph) -> bytes:
    """The file's bytes. ``graph.interface`` becomes QUANTIZE and DEQUANTIZE at the edges, and
    ``graph.labels`` a ``labels.txt`` in the zip archive that metadata tools append.

    Raises ValueError for what the format cannot hold (``Lookup``, padding that is neither SAME
    nor VALID, a clamp that no fused activation gives).
    """
    return draft(graph).serialize()


def draft(graph: Graph) -> TfliteFile:
    """The file that ``write`` makes, before it is serialized: for tests that bend parts of it."""
    file = TfliteFile(graph.name, labels=graph.labels)
    for tensor in graph.tensors.values():
        file.add(tensor)
    file.inputs, file.outputs = list(graph.inputs), list(graph.outputs)
    for position, name in enumerate(graph.inputs):
        if name in graph.interface:
            file.inputs[position] = _external(file, graph, name, "_external_in")
            file.operator(_convert(file.inputs[position], name, file))
    for op in graph.ops:
        file.operator(_WRITERS[type(op)](op, graph, file))
    for position, name in enumerate(graph.outputs):
        if name in graph.interface:
            file.outputs[position] = _external(file, graph, name, "_external_out")
            file.operator(_convert(name, file.outputs[position], file))
    return file


Extra = Callable[[flatbuffers.Builder], dict[str, Any]]


@dataclass
class Written:
    """One operator as the file states it: ``fields`` are those of its options table, by name, and
    ``more`` makes further fields of the operator's own table.
    """

    code: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    more: Extra | None = None


@dataclass
class TfliteFile:
    """Tensors and operators collected before they are serialized.

    Inputs and outputs are names of tensors; "" is an input that is left out. By a tensor's name,
    ``types`` overrides its element type with a number that need not be one, and ``signatures``
    gives the shape with -1 where it was open at conversion, ``more`` makes further fields of its
    table. The only subgraph is listed ``subgraphs`` times.
    """

    name: str
    labels: Sequence[str] = ()
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    types: dict[str, int] = field(default_factory=dict)
    signatures: dict[str, Sequence[int]] = field(default_factory=dict)
    more: dict[str, Extra] = field(default_factory=dict)
    subgraphs: int = 1
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Written] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=lambda: {"": -1})

    def add(self, tensor: Tensor) -> str:
        if tensor.name in self.index:
            raise ValueError(f"two tensors named {tensor.name!r}")
        self.index[tensor.name] = len(self.tensors)
        self.tensors.append(tensor)
        return tensor.name

    def constant(self, hint: str, values: Any, dtype: DType = DType.INT32) -> str:
        """Adds an operand that the intermediate representation keeps as an attribute."""
        data = np.array(values, dtype.numpy)
        return self.add(Tensor(f"{hint}/{len(self.tensors)}", data.shape, dtype, data=data))

    def operator(self, written: Written) -> None:
        self.operators.append(written)

    def serialize(self) -> bytes:
        b = flatbuffers.Builder(1024)
        codes = list(dict.fromkeys((op.code, op.version) for op in self.operators))
        buffers = [_buffer(b, None)]
        tensors = []
        for tensor in self.tensors:
            index = 0
            if tensor.data is not None:
                index = len(buffers)
                buffers.append(_buffer(b, tensor.data))
            number = self.types.get(tensor.name, TENSOR_TYPES[tensor.dtype])
            more = self.more[tensor.name](b) if tensor.name in self.more else {}
            if tensor.name in self.signatures:
                more["ShapeSignature"] = _ints(b, self.signatures[tensor.name])
            tensors.append(_tensor(b, tensor, number, index, more))
        operators = [
            self._operator(b, op, codes.index((op.code, op.version))) for op in self.operators
        ]
        subgraph = table(
            b,
            "SubGraph",
            Name=b.CreateString("main"),
            Tensors=_offsets(b, tensors),
            Inputs=_ints(b, [self.index[name] for name in self.inputs]),
            Outputs=_ints(b, [self.index[name] for name in self.outputs]),
            Operators=_offsets(b, operators),
        )
        code_tables = [_operator_code(b, code, version) for code, version in codes]
        model = table(
            b,
            "Model",
            Version=3,
            OperatorCodes=_offsets(b, code_tables),
            Subgraphs=_offsets(b, [subgraph] * self.subgraphs),
            Description=b.CreateString(self.name),
            Buffers=_offsets(b, buffers),
        )
        b.Finish(model, b"TFL3")
        return bytes(b.Output()) + _label_archive(self.labels)

    def _operator(self, b: flatbuffers.Builder, op: Written, code: int) -> int:
        inputs = _ints(b, [self.index[name] for name in op.inputs])
        outputs = _ints(b, [self.index[name] for name in op.outputs])
        fields: dict[str, Any] = {"OpcodeIndex": code, "Inputs": inputs, "Outputs": outputs}
        if op.more is not None:
            fields |= op.more(b)
        if op.options:
            values = {
                key: _ints(b, value) if isinstance(value, list) else value
                for key, value in op.fields.items()
            }
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, op.options)
            fields["BuiltinOptions"] = table(b, op.options, **values)
        return table(b, "Operator", **fields)


def table(b: flatbuffers.Builder, name: str, **fields: Any) -> int:
    """A table by the generated builder functions; nested objects are built by the caller."""
    getattr(tflite, f"{name}Start")(b)
    for field_name, value in fields.items():
        getattr(tflite, f"{name}Add{field_name}")(b, value)
    return int(getattr(tflite, f"{name}End")(b))


def _ints(b: flatbuffers.Builder, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.array(values, np.int32)))


def _offsets(b: flatbuffers.Builder, tables: Sequence[int]) -> int:
    b.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        b.PrependUOffsetTRelative(table)
    return int(b.EndVector())


def _buffer(b: flatbuffers.Builder, data: Array | None) -> int:
    """A Buffer table; its bytes stand at a multiple of 16 as the format demands."""
    if data is None:
        return table(b, "Buffer")
    raw = np.ascontiguousarray(data).tobytes()
    b.StartVector(1, len(raw), 16)
    head = b.head - len(raw)
    b.head = head
    b.Bytes[head : head + len(raw)] = raw
    return table(b, "Buffer", Data=b.EndVector())


def _tensor(
    b: flatbuffers.Builder,
    tensor: Tensor,
    type_number: int,
    buffer: int,
    more: dict[str, Any],
) -> int:
    fields: dict[str, Any] = {
        "Name": b.CreateString(tensor.name),
        "Shape": _ints(b, tensor.shape),
        "Type": type_number,
        "Buffer": buffer,
        "HasRank": True,
    } | more
    if tensor.quant is not None and "Quantization" not in more:
        fields["Quantization"] = table(
            b,
            "QuantizationParameters",
            Scale=b.CreateNumpyVector(np.array(tensor.quant.scales, np.float32)),
            ZeroPoint=b.CreateNumpyVector(np.array(tensor.quant.zero_points, np.int64)),
            QuantizedDimension=tensor.quant.axis or 0,
        )
    return table(b, "Tensor", **fields)


def _operator_code(b: flatbuffers.Builder, code: str, version: int) -> int:
    number = getattr(tflite.BuiltinOperator, code)
    return table(
        b,
        "OperatorCode",
        DeprecatedBuiltinCode=min(number, 127),
        Version=version,
        BuiltinCode=number,
    )


def _label_archive(labels: Sequence[str]) -> bytes:
    if not labels:
        return b""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("labels.txt", "\n".join(labels) + "\n")
    return archive.getvalue()


def _external(file: TfliteFile, graph: Graph, name: str, suffix: str) -> str:
    tensor, dtype = graph.tensors[name], graph.interface[name]
    quant = None
    if dtype is DType.UINT8:
        quant = QuantParams((tensor.scale,), (tensor.zero_point + 128,))
    return file.add(Tensor(name + suffix, tensor.shape, dtype, quant))


def _convert(source: str, target: str, file: TfliteFile) -> Written:
    """QUANTIZE or DEQUANTIZE, whichever the two element types ask for."""
    if file.tensors[file.index[target]].dtype is DType.FLOAT32:
        return Written("DEQUANTIZE", [source], [target], "DequantizeOptions", version=2)
    integers = file.tensors[file.index[source]].dtype is not DType.FLOAT32
    return Written("QUANTIZE", [source], [target], "QuantizeOptions", version=2 if integers else 1)


def activation_range(name: str, tensor: Tensor) -> ir.Clamp:
    """The integers that fused activation ``name`` leaves in ``tensor``.

    Source: TFLite kernels/kernel_util.cc, CalculateActivationRangeQuantized: float32 division,
    rounded half away from zero.
    """
    low, high = (0, 255) if tensor.dtype is DType.UINT8 else ir.INT8_RANGE

    def quantize(real: float) -> int:
        ratio = float(np.float32(real) / np.float32(tensor.scale))
        return tensor.zero_point + int(np.floor(abs(ratio) + 0.5)) * (-1 if real < 0 else 1)

    least, most = ACTIVATIONS[name]
    return (
        low if isinf(least) else max(low, quantize(least)),
        high if isinf(most) else min(high, quantize(most)),
    )


def _activation(clamp: ir.Clamp, output: Tensor) -> int:
    """The number of the fused activation that gives ``clamp``."""
    for name in ACTIVATIONS:
        if activation_range(name, output) == clamp:
            return int(getattr(tflite.ActivationFunctionType, name))
    raise ValueError(f"no fused activation gives the clamp {clamp} in {output.name!r}")


def _padding(
    op: ir.Op, padding: ir.Padding, size: Sequence[int], stride: Sequence[int],
    window: Sequence[int], dilation: Sequence[int], output: Sequence[int],
) -> int:  # fmt: skip
    """SAME or VALID, by what each of them would give for these sizes (height, width)."""
    same, valid, same_size, valid_size = [], [], [], []
    for axis in range(2):
        reach = (window[axis] - 1) * dilation[axis] + 1
        rows = -(-size[axis] // stride[axis])
        total = max(0, (rows - 1) * stride[axis] + reach - size[axis])
        same += [total // 2, total - total // 2]
        valid += [0, 0]
        same_size.append(rows)
        valid_size.append((size[axis] - reach) // stride[axis] + 1)
    stated = [padding.top, padding.bottom, padding.left, padding.right]
    if stated == valid and list(output) == valid_size:
        return int(tflite.Padding.VALID)
    if stated == same and list(output) == same_size:
        return int(tflite.Padding.SAME)
    raise ValueError(f"{op.name!r}: {padding} is neither SAME nor VALID")


def _spatial(
    op: Any, graph: Graph, window: Sequence[int], dilation: Sequence[int]
) -> dict[str, Any]:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    return {
        "Padding": _padding(
            op, op.padding, x.shape[1:3], op.stride, window, dilation, y.shape[1:3]
        ),
        "StrideH": op.stride[0],
        "StrideW": op.stride[1],
        "FusedActivationFunction": _activation(op.clamp, y),
    }


def _conv(op: ir.Conv2D, graph: Graph, file: TfliteFile) -> Written:
    fields = _spatial(op, graph, graph.tensors[op.inputs[1]].shape[1:3], op.dilation)
    fields |= {"DilationHFactor": op.dilation[0], "DilationWFactor": op.dilation[1]}
    return Written("CONV_2D", op.inputs, op.outputs, "Conv2DOptions", fields, version=3)


def _depthwise(op: ir.DepthwiseConv2D, graph: Graph, file: TfliteFile) -> Written:
    fields = _spatial(op, graph, graph.tensors[op.inputs[1]].shape[1:3], op.dilation)
    fields |= {"DilationHFactor": op.dilation[0], "DilationWFactor": op.dilation[1]}
    fields |= {"DepthMultiplier": op.multiplier}
    return Written(
        "DEPTHWISE_CONV_2D", op.inputs, op.outputs, "DepthwiseConv2DOptions", fields, version=3
    )


def _transpose_conv(op: ir.TransposeConv2D, graph: Graph, file: TfliteFile) -> Written:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    window = graph.tensors[op.inputs[1]].shape[1:3]
    for axis, (before, after) in enumerate(
        ((op.padding.top, op.padding.bottom), (op.padding.left, op.padding.right))
    ):
        full = (x.shape[1 + axis] - 1) * op.stride[axis] + window[axis]
        if full - before - after != y.shape[1 + axis]:
            raise ValueError(f"{op.name!r}: {op.padding} does not crop to {y.shape}")
    # The padding of the convolution whose gradient this is: from the output's size to the input's.
    # Rows beyond the full output (a negative crop) are none of it.
    clipped = ir.Padding(
        op.padding.top, max(op.padding.bottom, 0), op.padding.left, max(op.padding.right, 0)
    )
    padding = _padding(op, clipped, y.shape[1:3], op.stride, window, (1, 1), x.shape[1:3])
    fields = {
        "Padding": padding,
        "StrideH": op.stride[0],
        "StrideW": op.stride[1],
        "FusedActivationFunction": _activation(op.clamp, y),
    }
    shape = file.constant(op.name, y.shape)
    inputs = [shape, op.inputs[1], op.inputs[0], op.inputs[2]]
    return Written("TRANSPOSE_CONV", inputs, op.outputs, "TransposeConvOptions", fields, version=3)


def _fully_connected(op: ir.FullyConnected, graph: Graph, file: TfliteFile) -> Written:
    x, y = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    keep = len(y.shape) != 2
    if keep and y.shape[:-1] != x.shape[:-1]:
        raise ValueError(f"{op.name!r}: no file gives the output shape {y.shape}")
    fields = {"FusedActivationFunction": _activation(op.clamp, y), "KeepNumDims": keep}
    return Written(
        "FULLY_CONNECTED", op.inputs, op.outputs, "FullyConnectedOptions", fields,
        version=5 if keep else 4,
    )  # fmt: skip


def _binary(code: str, options: str) -> Callable[[Any, Graph, TfliteFile], Written]:
    def writer(op: Any, graph: Graph, file: TfliteFile) -> Written:
        fields = {"FusedActivationFunction": _activation(op.clamp, graph.tensors[op.outputs[0]])}
        return Written(code, op.inputs, op.outputs, options, fields, version=2)

    return writer


def _plain(
    code: str, options: str = "", version: int = 1, **fields: str
) -> Callable[[Any, Graph, TfliteFile], Written]:
    """An operator whose inputs are the file's; ``fields``: option field by attribute name."""

    def writer(op: Any, graph: Graph, file: TfliteFile) -> Written:
        values = {field: getattr(op, attribute) for field, attribute in fields.items()}
        return Written(code, op.inputs, op.outputs, options, values, version)

    return writer


def _pool(code: str) -> Callable[[Any, Graph, TfliteFile], Written]:
    def writer(op: Any, graph: Graph, file: TfliteFile) -> Written:
        fields = _spatial(op, graph, op.window, (1, 1))
        fields |= {"FilterHeight": op.window[0], "FilterWidth": op.window[1]}
        return Written(code, op.inputs, op.outputs, "Pool2DOptions", fields, version=2)

    return writer


def _pad(op: ir.Pad, graph: Graph, file: TfliteFile) -> Written:
    x = graph.tensors[op.inputs[0]]
    inputs = [op.inputs[0], file.constant(op.name, op.pads)]
    if op.mode is not ir.PadMode.CONSTANT:
        mode = getattr(tflite.MirrorPadMode, op.mode.name)
        return Written(
            "MIRROR_PAD", inputs, op.outputs, "MirrorPadOptions", {"Mode": mode}, version=2
        )
    if op.value == x.zero_point:
        return Written("PAD", inputs, op.outputs, "PadOptions", version=2)
    value = Tensor(f"{op.name}/value", (), x.dtype, x.quant, np.array(op.value, x.dtype.numpy))
    return Written("PADV2", [*inputs, file.add(value)], op.outputs, "PadV2Options", version=2)


def _mean(op: ir.Mean, graph: Graph, file: TfliteFile) -> Written:
    inputs = [op.inputs[0], file.constant(op.name, op.axes)]
    return Written(
        "MEAN", inputs, op.outputs, "ReducerOptions", {"KeepDims": op.keep_dims}, version=2
    )


def _requantize(op: ir.Requantize, graph: Graph, file: TfliteFile) -> Written:
    if not op.float32_ratio:
        if op.clamp != activation_range("NONE", graph.tensors[op.outputs[0]]):
            raise ValueError(f"{op.name!r}: QUANTIZE has no clamp")
        return _convert(op.inputs[0], op.outputs[0], file)
    for code, version in (("RELU", 2), ("RELU6", 2), ("RELU_N1_TO_1", 1)):
        if activation_range(code, graph.tensors[op.outputs[0]]) == op.clamp:
            return Written(code, op.inputs, op.outputs, version=version)
    raise ValueError(f"{op.name!r}: no activation gives the clamp {op.clamp}")


def _edge(op: ir.Op, graph: Graph, file: TfliteFile) -> Written:
    return _convert(op.inputs[0], op.outputs[0], file)


def _reshape(op: ir.Reshape, graph: Graph, file: TfliteFile) -> Written:
    shape = list(graph.tensors[op.outputs[0]].shape)
    inputs = [op.inputs[0], file.constant(op.name, shape)]
    return Written("RESHAPE", inputs, op.outputs, "ReshapeOptions", {"NewShape": shape})


def _transpose(op: ir.Transpose, graph: Graph, file: TfliteFile) -> Written:
    inputs = [op.inputs[0], file.constant(op.name, op.perm)]
    version = 4 if len(op.perm) > 4 else 2
    return Written("TRANSPOSE", inputs, op.outputs, "TransposeOptions", version=version)


def _split(op: ir.Split, graph: Graph, file: TfliteFile) -> Written:
    sizes = [graph.tensors[name].shape[op.axis] for name in op.outputs]
    axis = file.constant(op.name, op.axis)
    count = {"NumSplits": len(sizes)}
    if len(set(sizes)) == 1:
        return Written("SPLIT", [axis, op.inputs[0]], op.outputs, "SplitOptions", count, version=2)
    inputs = [op.inputs[0], file.constant(op.name, sizes), axis]
    return Written("SPLIT_V", inputs, op.outputs, "SplitVOptions", count, version=2)


def _slice(op: ir.Slice, graph: Graph, file: TfliteFile) -> Written:
    sizes = graph.tensors[op.outputs[0]].shape
    begin = file.constant(op.name, op.begin)
    if set(op.strides) <= {1}:
        inputs = [op.inputs[0], begin, file.constant(op.name, sizes)]
        return Written("SLICE", inputs, op.outputs, "SliceOptions", version=2)
    ends, mask = [], 0
    for axis, (first, size, stride) in enumerate(zip(op.begin, sizes, op.strides, strict=True)):
        end = first + (size - 1) * stride + (1 if stride > 0 else -1)
        if end < 0:  # would count from the back: "as far as there is" instead
            end, mask = 0, mask | 1 << axis
        ends.append(end)
    inputs = [op.inputs[0], begin, file.constant(op.name, ends), file.constant(op.name, op.strides)]
    version = 4 if len(sizes) > 4 else 2
    return Written(
        "STRIDED_SLICE", inputs, op.outputs, "StridedSliceOptions", {"EndMask": mask}, version
    )


def _resize(code: str, options: str) -> Callable[[Any, Graph, TfliteFile], Written]:
    def writer(op: Any, graph: Graph, file: TfliteFile) -> Written:
        size = file.constant(op.name, graph.tensors[op.outputs[0]].shape[1:3])
        fields = {"AlignCorners": op.align_corners, "HalfPixelCenters": op.half_pixel_centers}
        version = 3 if op.half_pixel_centers else 2
        return Written(code, [op.inputs[0], size], op.outputs, options, fields, version)

    return writer


_WRITERS: dict[type[ir.Op], Callable[[Any, Graph, TfliteFile], Written]] = {
    ir.Conv2D: _conv,
    ir.DepthwiseConv2D: _depthwise,
    ir.TransposeConv2D: _transpose_conv,
    ir.FullyConnected: _fully_connected,
    ir.Add: _binary("ADD", "AddOptions"),
    ir.Sub: _binary("SUB", "SubOptions"),
    ir.Mul: _binary("MUL", "MulOptions"),
    ir.BatchMatMul: _plain(
        "BATCH_MATMUL", "BatchMatMulOptions", version=2, AdjX="adjoint_a", AdjY="adjoint_b"
    ),
    ir.Minimum: _plain("MINIMUM", "MaximumMinimumOptions", version=2),
    ir.Maximum: _plain("MAXIMUM", "MaximumMinimumOptions", version=2),
    ir.Pad: _pad,
    ir.AveragePool2D: _pool("AVERAGE_POOL_2D"),
    ir.MaxPool2D: _pool("MAX_POOL_2D"),
    ir.Mean: _mean,
    ir.Softmax: _plain("SOFTMAX", "SoftmaxOptions", version=2, Beta="beta"),
    ir.Logistic: _plain("LOGISTIC", version=2),
    ir.Tanh: _plain("TANH", version=2),
    ir.HardSwish: _plain("HARD_SWISH", "HardSwishOptions"),
    ir.Gelu: _plain("GELU", "GeluOptions", version=2, Approximate="approximate"),
    ir.LeakyRelu: _plain("LEAKY_RELU", "LeakyReluOptions", version=2, Alpha="alpha"),
    ir.Prelu: _plain("PRELU"),
    ir.Requantize: _requantize,
    ir.Quantize: _edge,
    ir.Dequantize: _edge,
    ir.Reshape: _reshape,
    ir.Transpose: _transpose,
    ir.Concatenation: _plain("CONCATENATION", "ConcatenationOptions", version=2, Axis="axis"),
    ir.Split: _split,
    ir.Slice: _slice,
    ir.ResizeNearest: _resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    ir.ResizeBilinear: _resize("RESIZE_BILINEAR", "ResizeBilinearOptions"),
}
