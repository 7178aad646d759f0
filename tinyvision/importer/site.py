"""One operator of the file as its converter sees it: operands, options, and how to refuse.

An option that a converter does not ask for, and that does not have its default value, is refused
by name: nothing in a file is passed over in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import copysign, floor
from typing import NoReturn, Protocol

import numpy as np

from tinyvision.importer import schema
from tinyvision.importer.model_file import OPTIONAL, RawOperator
from tinyvision.importer.problems import Problem, Refusal
from tinyvision.ir.derive import dtype_clamp
from tinyvision.ir.ops import Clamp
from tinyvision.ir.types import Array, DType, Tensor

QUANTIZE_HINT = "Convert with full-integer int8 quantization."


class Tensors(Protocol):
    """Where a site finds tensors and puts new ones."""

    def tensor(self, index: int) -> Tensor:
        """The tensor of the file; raises Refusal where it is not supported."""

    def add(self, tensor: Tensor) -> Tensor:
        """Adds a tensor that the file does not have, under a unique name."""

    def fold(self, index: int, value: Array) -> None:
        """Makes tensor ``index`` a constant, known at import."""

    def resized(self, tensor: Tensor, shape: tuple[int, ...]) -> Tensor | None:
        """``tensor`` with another shape from now on; None where the file fixes its own."""


class Site:
    """Everything about one operator; ``problems`` collects what is wrong with it."""

    def __init__(self, raw: RawOperator, kind: str, option_table: str, tensors: Tensors) -> None:
        self.raw, self.kind, self._tensors = raw, kind, tensors
        self.name = f"{kind.lower()}_{raw.index}"
        self.problems: list[Problem] = []
        self._used: set[str] = set()
        self._fields = self._option_fields(option_table)

    # Refusing

    def refuse(self, what: str, tensor: str = "", hint: str = "") -> None:
        """Notes a problem and goes on, so that others are found as well."""
        self.problems.append(Problem(what, self.raw.index, self.kind, tensor, hint))

    def stop(self, what: str, tensor: str = "", hint: str = "") -> NoReturn:
        """Notes a problem after which nothing more can be said about this operator."""
        raise Refusal(Problem(what, self.raw.index, self.kind, tensor, hint))

    # Options

    def _option_fields(self, option_table: str) -> dict[str, tuple[int, schema.OptionField]]:
        table = schema.OPTIONS[option_table] if option_table else schema.OptionTable(0)
        if self.raw.options_type not in (0, table.number):
            self.stop(f"its options are those of another operator (number {self.raw.options_type})")
        options = self.raw.options
        if options is not None and self.raw.options_type:
            for field in range(len(table.fields), options.fields):
                if options.has(field):
                    self.refuse(f"its option number {field} is newer than this importer")
        return {field.name: (number, field) for number, field in enumerate(table.fields)}

    def _read(self, name: str) -> float | list[int]:
        number, field = self._fields[name]
        options = self.raw.options if self.raw.options_type else None
        if field.kind == "int32s":
            what = f"the option {name} of operator {self.raw.index}"
            return [] if options is None else options.numbers(number, "int32", what, 64) or []
        return (
            field.default if options is None else options.scalar(number, field.kind, field.default)
        )

    def option(self, name: str) -> int:
        """The value of an integer or bool option."""
        self._used.add(name)
        value = self._read(name)
        assert not isinstance(value, list)
        return int(value)

    def flag(self, name: str) -> bool:
        return bool(self.option(name))

    def real(self, name: str) -> float:
        """The value of a float32 option; one that is not finite is refused."""
        self._used.add(name)
        value = self._read(name)
        assert not isinstance(value, list)
        if not np.isfinite(value):
            self.stop(f"its option {name} is {value}")
        return float(value)

    def option_list(self, name: str) -> tuple[int, ...]:
        self._used.add(name)
        value = self._read(name)
        assert isinstance(value, list)
        return tuple(value)

    def choice(self, name: str, values: Sequence[str]) -> str:
        """The name of an enumeration's value."""
        number = self.option(name)
        if not 0 <= number < len(values):
            self.stop(f"its option {name} has the unknown value {number}")
        return values[number]

    def ignore(self, *names: str) -> None:
        """Options without meaning for an int8 operator; the caller's comment says why."""
        self._used.update(names)

    def refuse_unused(self) -> None:
        """Refuses every option that nothing has asked for and that says something."""
        for name, (_, field) in self._fields.items():
            if name not in self._used:
                value = self._read(name)
                if value != ([] if field.kind == "int32s" else field.default):
                    self.refuse(f"its option {name} = {value} is not supported")
        for extra in self.raw.extras:
            self.refuse(f"its {extra} are not supported")

    # Operands

    def count(self, inputs: Sequence[int] = (), outputs: int | None = 1) -> None:
        """Stops unless the number of inputs is one of ``inputs``, if any are given, and that of
        outputs is as stated.
        """
        if inputs and len(self.raw.inputs) not in inputs:
            self.stop(f"it has {len(self.raw.inputs)} inputs, not {' or '.join(map(str, inputs))}")
        if outputs is not None and len(self.raw.outputs) != outputs:
            self.stop(f"it has {len(self.raw.outputs)} outputs, not {outputs}")

    def has(self, position: int) -> bool:
        """Whether input ``position`` is there; those at the end may be left out."""
        return position < len(self.raw.inputs) and self.raw.inputs[position] != OPTIONAL

    def input(self, position: int) -> Tensor:
        if not self.has(position):
            self.stop(f"its input {position} is missing")
        return self._tensors.tensor(self.raw.inputs[position])

    def output(self, position: int = 0) -> Tensor:
        return self._tensors.tensor(self.raw.outputs[position])

    def int8_input(self, position: int = 0) -> Tensor:
        return self._quantized_int8(self.input(position))

    def int8_output(self, position: int = 0) -> Tensor:
        return self._quantized_int8(self.output(position))

    def moved_input(self, position: int = 0) -> Tensor:
        """An input whose elements are only moved: float32 and uint8 will do as well."""
        return self._movable(self.input(position))

    def moved_output(self, position: int = 0) -> Tensor:
        return self._movable(self.output(position))

    def _movable(self, tensor: Tensor) -> Tensor:
        if tensor.dtype in (DType.INT8, DType.UINT8):
            self.per_tensor(tensor)
        elif tensor.dtype is not DType.FLOAT32:
            self.stop(f"it moves {tensor.dtype.value}", tensor.name, QUANTIZE_HINT)
        return tensor

    def _quantized_int8(self, tensor: Tensor) -> Tensor:
        """Refuses everything but int8 with one scale."""
        if tensor.dtype is not DType.INT8:
            hint = QUANTIZE_HINT
            if tensor.dtype is DType.UINT8:
                hint = "Convert to int8; uint8 is supported only at the model's inputs and outputs."
            self.stop(f"it computes in {tensor.dtype.value}, not in int8", tensor.name, hint)
        self.per_tensor(tensor)
        return tensor

    def per_tensor(self, tensor: Tensor) -> None:
        """Refuses a tensor without quantization, or with several scales."""
        if tensor.quant is None:
            self.stop("it needs a quantized tensor", tensor.name, QUANTIZE_HINT)
        if len(tensor.quant.scales) != 1:
            self.stop("activations with a scale per channel are not supported", tensor.name)

    def quantized_alike(self, *tensors: Tensor) -> None:
        """Refuses tensors between which elements cannot simply be copied."""
        first = tensors[0]
        for other in tensors[1:]:
            if other.dtype is not first.dtype:
                self.refuse(
                    f"{first.name!r} is {first.dtype.value}, not {other.dtype.value}", other.name
                )
            elif other.quant != first.quant:
                self.refuse(
                    f"its scale and zero point differ from those of {first.name!r}",
                    other.name,
                    "Quantize its inputs and outputs alike; converters do.",
                )

    def integers(self, position: int, what: str) -> Array:
        """A constant operand of int32 or int64, as int64."""
        tensor = self.input(position)
        if tensor.dtype not in (DType.INT32, DType.INT64):
            self.stop(f"{what} are {tensor.dtype.value}, not integers", tensor.name)
        if tensor.data is None:
            self.stop(
                f"{what} are computed at run time",
                tensor.name,
                "Convert with fixed shapes, so that they become constant.",
            )
        return tensor.data.astype(np.int64)

    def integer_list(self, position: int, what: str, count: int | None = None) -> tuple[int, ...]:
        """A constant operand as a flat tuple, of ``count`` entries if stated."""
        values = self.integers(position, what).reshape(-1)
        if count is not None and len(values) != count:
            self.stop(f"there are {len(values)} {what}, not {count}")
        if len(values) > 1024:
            self.stop(f"there are {len(values)} {what}")
        return tuple(int(value) for value in values)

    def axis(self, axis: int, rank: int) -> int:
        """A valid axis, counted from the front."""
        if not -rank <= axis < rank:
            self.stop(f"axis {axis} is not one of {rank}")
        return axis % rank

    # Results

    def add_tensor(self, tensor: Tensor) -> Tensor:
        return self._tensors.add(tensor)

    def shaped(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """``y`` with the shape that the operator gives it. A file that states another one is
        refused, unless it says that it did not know.
        """
        if y.shape == shape:
            return y
        resized = self._tensors.resized(y, shape)
        if resized is None:
            self.stop(f"its output has the shape {y.shape}, not {shape}", y.name)
        return resized

    def fold(self, value: Array) -> None:
        """Makes the only output a constant, known at import."""
        self._tensors.fold(self.raw.outputs[0], value)

    def clamp(self, output: Tensor, activation: str | None = None) -> Clamp:
        """The integers left by ``activation``, or by the option fused_activation_function."""
        if activation is None:
            activation = self.choice("fused_activation_function", schema.ACTIVATIONS)
        bounds = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0),
                  "RELU_N1_TO_1": (-1.0, 1.0)}  # fmt: skip
        if activation not in bounds:
            self.stop(f"the fused activation {activation} is not supported")
        low, high = dtype_clamp(output.dtype)
        least, most = bounds[activation]
        if least is not None:
            low = max(low, self._quantized(least, output))
        if most is not None:
            high = min(high, self._quantized(most, output))
        return low, high

    def no_activation(self) -> None:
        """Refuses any fused activation."""
        activation = self.choice("fused_activation_function", schema.ACTIVATIONS)
        if activation != "NONE":
            self.refuse(f"the fused activation {activation} is not supported here")

    def _quantized(self, real: float, output: Tensor) -> int:
        """Source: TFLite kernels/kernel_util.cc, CalculateActivationRangeQuantized (float32)."""
        with np.errstate(over="ignore"):
            steps = float(np.float32(real) / np.float32(output.scale))
        if not abs(steps) < 1 << 30:
            self.stop(f"{real:g} is beyond int32 in the output's scale", output.name)
        return output.zero_point + int(copysign(floor(abs(steps) + 0.5), steps))

    def factor(self, real: float, limit: float = 2.0**30) -> None:
        """Refuses a requantization factor that fixed-point arithmetic cannot hold."""
        if not 0 <= real < limit:
            self.refuse(
                f"the scales of its operands call for a factor of {real:g}, beyond int32",
                self.output().name,
                "Quantize again with representative data.",
            )
