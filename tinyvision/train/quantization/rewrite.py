"""A float network rewritten into one that computes as its int8 ``.tflite`` will.

What TensorFlow's converter fuses into one operator is one layer here, and a ``Range`` follows where
that operator writes an int8 tensor of its own scale. Operators that TFLite wants to have one scale
for input and output (pools, concatenation, whatever moves values) share a ``Range``.

Batch norm is folded into the weights before it with its moving statistics, exactly and for good.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import keras
import numpy as np

from tinyvision.errors import UnsupportedError
from tinyvision.train.quantization.graph import Call, Network, Value, read
from tinyvision.train.quantization.layers import Arithmetic, QuantDepthwiseConv2D, Range
from tinyvision.train.quantization.parts import OPTIONS, WEIGHTED, Part, affine

Limits = tuple[float, float]
PROBABILITIES: Limits = (0.0, 255 / 256)
"""What TFLite prescribes for softmax and logistic: scale 1/256, zero point -128."""
TANH: Limits = (-1.0, 127 / 128)


class Output(Enum):
    OWN = "a range of its own"
    SHARED = "the inputs' range, rounded to its steps"
    MOVED = "the inputs' range, and only values that are on its steps"


@dataclass(frozen=True)
class Step:
    """A call of the new network, and how its outputs are quantized: as ``Output`` says, or with
    the limits that TFLite prescribes.
    """

    call: Call
    output: Output | Limits


MOVES = {
    "Flatten", "Reshape", "Permute", "ZeroPadding2D", "Cropping2D", "MaxPooling2D",
    "GlobalMaxPooling2D", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout",
    "Identity", "ActivityRegularization", "Transpose", "Split", "GetItem", "Squeeze", "ExpandDims",
    "MaxPool", "Concatenate", "Maximum", "Minimum", "Repeat",
}  # fmt: skip
SHARING = {"AveragePooling2D", "AveragePool", "UpSampling2D"}
OWNING = {"GlobalAveragePooling2D", "Mean", "PReLU", "LeakyReLU", "LeakyRelu"}
ARITHMETIC = {
    "Add": "add", "Subtract": "subtract", "Multiply": "multiply", "TrueDivide": "multiply",
    "Divide": "multiply",
}  # fmt: skip
FUNCTIONS = {
    "Relu": "relu", "Relu6": "relu6", "ReLU6": "relu6", "HardSilu": "hard_silu",
    "HardSigmoid": "hard_sigmoid", "Sigmoid": "sigmoid", "Silu": "silu", "Tanh": "tanh",
    "Softmax": "softmax",
}  # fmt: skip
FUSED = ("relu", "relu6")
OUTPUTS: dict[str, Output | Limits] = {
    "linear": Output.MOVED, "relu": Output.OWN, "relu6": Output.OWN, "hard_silu": Output.OWN,
    "leaky_relu": Output.OWN, "softmax": PROBABILITIES, "sigmoid": PROBABILITIES, "tanh": TANH,
}  # fmt: skip


def rewrite(model: keras.Model, input_limits: Limits | None) -> keras.Model:
    """The network with quantization in it, not yet calibrated; ``model`` is left as it is.

    ``input_limits`` are those of the input's int8 tensor, None where calibration is to find them.
    UnsupportedError, with all of the reasons, where layers have no int8 form here.
    """
    network = read(model)
    return _assemble(model, network, _Lowering(network).steps(), input_limits)


class _NoFormError(Exception):
    """Why a layer has no int8 form here."""


class _Lowering:
    """The steps of a network. Fuses what follows a layer where nothing else reads it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._count = network.readers()
        self._reader = {value: call for call in network.calls for value in call.inputs}
        self._fused: set[int] = set()
        self._steps: list[Step] = []
        self._next = 1 + max(
            (v.number for call in network.calls for v in (*call.inputs, *call.outputs)), default=0
        )
        self._names: set[str] = set()
        self._problems: list[str] = []

    def steps(self) -> list[Step]:
        for call in self._network.calls:
            if id(call) in self._fused:
                continue
            try:
                self._lower(call)
            except _NoFormError as error:
                self._problems.append(f"{call.operation.name}: {error}")
        if self._problems:
            raise UnsupportedError(
                "layers have no int8 form here", tuple(self._problems), self._network.name
            )
        return self._steps

    def _lower(self, call: Call) -> None:
        """Appends the steps of ``call``; says why where there are none."""
        layer, kind = call.operation, type(call.operation).__name__
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise _NoFormError("channels must come last")
        if kind in WEIGHTED:
            self._weighted(call)
        elif kind == "BatchNormalization":
            self._normalization(call)
        elif kind in ARITHMETIC:
            self._arithmetic(call, ARITHMETIC[kind])
        elif kind in MOVES or (kind == "UpSampling2D" and layer.interpolation == "nearest"):
            self._keep(call, Output.MOVED)
        elif kind in SHARING:
            self._keep(call, Output.SHARED)
        elif kind in OWNING:
            self._keep(call, Output.OWN)
        elif kind == "Rescaling":
            self._rescaling(call)
        elif (function := function_of(call)) is not None:
            self._function(call.inputs[0], function, call.output, layer.name)
        else:
            raise _NoFormError(f"{kind} is not known to the quantizer")

    # What follows

    def _sole_reader(self, value: Value) -> Call | None:
        call = self._reader.get(value)
        return call if call is not None and self._count[value] == 1 else None

    def _fuse(self, call: Call) -> Value:
        self._fused.add(id(call))
        return call.output

    def _fused_activation(self, value: Value) -> tuple[Value, str]:
        """The ReLU after ``value`` that can be part of the operator."""
        reader = self._sole_reader(value)
        function = function_of(reader) if reader else None
        if reader and function in FUSED:
            return self._fuse(reader), function
        return value, "linear"

    # Kinds of layers

    def _weighted(self, call: Call) -> None:
        layer = call.operation
        if len(call.inputs[0].shape) not in (2, 4):
            raise _NoFormError(f"its input has {len(call.inputs[0].shape)} dimensions")
        *before, part = WEIGHTED[type(layer).__name__](layer, call.inputs[0])
        x, value = call.inputs[0], call.output
        for first in before:  # the depthwise half of a separable convolution
            between = self._value((*value.shape[:3], first.channels))
            self._append(first.make(self._name(f"{layer.name}_depthwise")), (x,), between)
            x = between
        function = activation_name(layer.activation)
        if function == "linear":
            value, part = self._folded(value, part)
            reader = self._sole_reader(value)
            following = function_of(reader) if reader else None
            if reader and following in (*FUSED, "hard_sigmoid"):
                value, function = self._fuse(reader), following
        fused = function if function in FUSED else "linear"
        if function == "hard_sigmoid":  # relu6(x + 3) / 6
            part, fused = replace(part, bias=part.bias + 3.0), "relu6"
        inner = value if function in (*FUSED, "linear") else self._value(value.shape)
        self._append(replace(part, activation=fused).make(self._name(layer.name)), (x,), inner)
        if function == "hard_sigmoid":
            self._scale(inner, 1 / 6, value, layer.name)
        elif inner != value:
            self._function(inner, function, value, layer.name)

    def _folded(self, value: Value, part: Part) -> tuple[Value, Part]:
        """With the batch norms and the added numbers that follow."""
        while (reader := self._sole_reader(value)) is not None:
            kind, constant = type(reader.operation).__name__, _constant(reader)
            if kind == "BatchNormalization" and _by_channel(reader):
                part = part.scaled(*affine(reader.operation))
            elif kind in ("Add", "Subtract") and constant is not None:
                if kind == "Subtract" and not isinstance(reader.arguments[0], Value):
                    break
                part = replace(part, bias=part.bias + (constant if kind == "Add" else -constant))
            else:
                break
            value = self._fuse(reader)
        return value, part

    def _normalization(self, call: Call) -> None:
        """Batch norm that follows no weights: a depthwise convolution of one tap."""
        if not _by_channel(call) or len(call.inputs[0].shape) != 4:
            raise _NoFormError("batch norm by itself is for the last of four dimensions")
        scale, shift = affine(call.operation)
        options = OPTIONS | {"kernel_size": (1, 1), "depth_multiplier": 1}
        part = Part(QuantDepthwiseConv2D, options, scale.reshape(1, 1, -1, 1), shift)
        value, function = self._fused_activation(call.output)
        part = replace(part, activation=function)
        self._append(part.make(self._name(call.operation.name)), call.inputs, value)

    def _arithmetic(self, call: Call, kind: str) -> None:
        operation, constant = call.operation, _constant(call)
        divides = type(operation).__name__ in ("TrueDivide", "Divide")
        if constant is None and (divides or len(call.inputs) < 2):
            raise _NoFormError("one of its operands is neither a tensor nor a number")
        if constant is not None:
            if not isinstance(call.arguments[0], Value) and (divides or kind == "subtract"):
                raise _NoFormError("its first operand is a number")
            constant = 1 / constant if divides else constant
            value, function = self._fused_activation(call.output)
            layer = Arithmetic(kind, constant, function, name=self._name(operation.name))
            self._append(layer, call.inputs, value)
            return
        if any(v.shape[1:] != call.output.shape[1:] for v in call.inputs) and len(call.inputs) > 2:
            raise _NoFormError("more than two operands of different shapes")
        first = call.inputs[0]
        for second in call.inputs[1:-1]:
            between = self._value(call.output.shape)
            self._append(
                Arithmetic(kind, name=self._name(operation.name)), (first, second), between
            )
            first = between
        value, function = self._fused_activation(call.output)
        layer = Arithmetic(kind, None, function, name=self._name(operation.name))
        self._append(layer, (first, call.inputs[-1]), value)

    def _rescaling(self, call: Call) -> None:
        layer, x = call.operation, call.inputs[0]
        if np.ndim(layer.scale) or np.ndim(layer.offset):
            raise _NoFormError("scale and offset must be numbers")
        scaled = call.output if layer.offset == 0 else self._value(call.output.shape)
        self._scale(x, float(layer.scale), scaled, layer.name)
        if layer.offset != 0:
            shift = Arithmetic("add", float(layer.offset), name=self._name(layer.name))
            self._append(shift, (scaled,), call.output)

    def _function(self, x: Value, function: str, y: Value, name: str) -> None:
        if function == "silu":
            gate = self._value(x.shape)
            self._function(x, "sigmoid", gate, name)
            self._append(Arithmetic("multiply", name=self._name(name)), (x, gate), y)
        elif function == "hard_sigmoid":
            inner = self._value(x.shape)
            self._append(Arithmetic("add", 3.0, "relu6", name=self._name(name)), (x,), inner)
            self._scale(inner, 1 / 6, y, name)
        elif function in OUTPUTS:
            layer = keras.layers.Activation(function, name=self._name(f"{name}_{function}"))
            self._emit(layer, (x,), y, OUTPUTS[function])
        else:
            raise _NoFormError(f"its activation {function} is not known to the quantizer")

    def _scale(self, x: Value, factor: float, y: Value, name: str) -> None:
        self._append(Arithmetic("multiply", factor, name=self._name(f"{name}_scaled")), (x,), y)

    def _keep(self, call: Call, output: Output) -> None:
        """The layer as it is, in a copy of its own."""
        operation = call.operation
        if isinstance(operation, keras.Layer):
            config = operation.get_config() | {"name": self._name(operation.name)}
            copy = type(operation).from_config(config)
            copy.build(tuple(call.inputs[0].shape)) if operation.weights else None
            copy.set_weights(operation.get_weights())
            operation = copy
        self._steps.append(Step(replace(call, operation=operation), output))

    # Making steps

    def _append(self, layer: keras.Layer, inputs: tuple[Value, ...], output: Value) -> None:
        self._emit(layer, inputs, output, Output.OWN)

    def _emit(
        self, layer: keras.Layer, inputs: tuple[Value, ...], y: Value, output: Output | Limits
    ) -> None:
        self._steps.append(Step(Call(layer, inputs, {}, (y,)), output))

    def _value(self, shape: tuple[int | None, ...]) -> Value:
        self._next += 1
        return Value(self._next, shape)

    def _name(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name


def _by_channel(call: Call) -> bool:
    axis = call.operation.axis
    axis = axis[0] if isinstance(axis, (list, tuple)) else axis
    return axis in (-1, len(call.inputs[0].shape) - 1)


def _constant(call: Call) -> float | None:
    """The number that an operation has for one of its two operands."""
    if len(call.inputs) != 1 or len(call.arguments) != 2:
        return None
    other = next((a for a in call.arguments if not isinstance(a, Value)), None)
    numbers = np.asarray(other, np.float64) if isinstance(other, (int, float, np.generic)) else None
    return None if numbers is None else float(numbers)


def function_of(call: Call) -> str | None:
    """The name that ``keras.ops`` has for the activation function that ``call`` is."""
    layer, kind = call.operation, type(call.operation).__name__
    if kind == "Activation":
        return activation_name(layer.activation)
    if kind == "ReLU":
        slope, threshold = float(layer.negative_slope or 0), float(layer.threshold or 0)
        if slope or threshold or layer.max_value not in (None, 6):
            return None
        return "relu" if layer.max_value is None else "relu6"
    if kind == "Softmax" and getattr(layer, "axis", -1) not in (-1, len(call.output.shape) - 1):
        return None
    return FUNCTIONS.get(kind)


def activation_name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


# Ranges


@dataclass
class _Groups:
    """Which values have one range: a forest of values, and the limits that roots prescribe."""

    parent: dict[Value, Value] = field(default_factory=dict)

    def root(self, value: Value) -> Value:
        while (up := self.parent.get(value, value)) != value:
            value = up
        return value

    def join(self, values: Iterable[Value]) -> None:
        first, *others = (self.root(value) for value in values)
        for other in others:
            self.parent[self.root(other)] = self.root(first)


def _assemble(
    model: keras.Model, network: Network, steps: list[Step], input_limits: Limits | None
) -> keras.Model:
    groups, fixed = _Groups(), _prescribed(network.source, steps, input_limits)
    problems = []
    for step in steps:
        call = step.call
        if step.output in (Output.SHARED, Output.MOVED):
            if len(call.inputs) > 1 and any(value in fixed for value in call.inputs):
                problems.append(
                    f"{call.operation.name}: it joins the input, a softmax, a sigmoid or "
                    "a tanh with other tensors"
                )
            groups.join((*call.outputs, *call.inputs))
    if problems:
        raise UnsupportedError("tensors cannot have one scale", tuple(problems), model.name)
    ranges: dict[Value, Range] = {}

    def ranged(value: Value, tensor: Any, name: str) -> Any:
        root = groups.root(value)
        if root not in ranges:
            limits = fixed.get(value)
            low, high = limits or (-1.0, 1.0)
            ranges[root] = Range(low, high, limits is not None, name=f"{name}_range")
        return ranges[root](tensor)

    image = keras.Input(model.input_shape[1:], name="image")
    values = {network.source: ranged(network.source, image, "image")}
    for step in steps:
        call, name = step.call, step.call.operation.name
        outputs = call.apply(values)
        if step.output is not Output.MOVED:
            outputs = tuple(
                ranged(value, tensor, name)
                for value, tensor in zip(call.outputs, outputs, strict=True)
            )
        values.update(zip(call.outputs, outputs, strict=True))
    results = [values[value] for value in network.results]
    return keras.Model(image, results[0] if len(results) == 1 else results, name=model.name)


def _prescribed(
    source: Value, steps: list[Step], input_limits: Limits | None
) -> dict[Value, Limits]:
    """The values whose limits are given, by TFLite or for the input, and what moves them."""
    fixed = {} if input_limits is None else {source: input_limits}
    for step in steps:
        inputs = step.call.inputs
        if isinstance(step.output, tuple):
            fixed.update(dict.fromkeys(step.call.outputs, step.output))
        elif step.output is not Output.OWN and len(inputs) == 1 and inputs[0] in fixed:
            fixed.update(dict.fromkeys(step.call.outputs, fixed[inputs[0]]))
    return fixed
