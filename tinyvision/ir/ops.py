"""The operators of the intermediate representation, one frozen dataclass each.

Layouts are TFLite's: activations NHWC, convolution weights OHWI, depthwise weights 1HWO, fully
connected weights OI. What TFLite states by name is explicit here: padding is four numbers, a
fused activation is a ``clamp`` in the integers of the output, begin/end masks are resolved.
Arithmetic: ``ir.reference``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

Clamp = tuple[int, int]
INT8_RANGE: Clamp = (-128, 127)


@dataclass(frozen=True)
class Padding:
    """Rows and columns of zero point (not zero) around the input."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.bottom, self.left, self.right))


@dataclass(frozen=True, kw_only=True)
class Op:
    """Reads the tensors named ``inputs``, defines those named ``outputs``."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def kind(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, kw_only=True)
class Conv2D(Op):
    """inputs: x (N,H,W,I), weights (O,KH,KW,I/groups) int8 constant, bias (O,) int32 constant.

    The number of groups follows from the shapes. The bias is always there (zeros where the file
    has none).
    """

    stride: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    clamp: Clamp = INT8_RANGE


@dataclass(frozen=True, kw_only=True)
class DepthwiseConv2D(Op):
    """inputs: x (N,H,W,I), weights (1,KH,KW,I*multiplier) int8 constant, bias (I*multiplier,)
    int32 constant.
    """

    multiplier: int = 1
    stride: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    clamp: Clamp = INT8_RANGE


@dataclass(frozen=True, kw_only=True)
class TransposeConv2D(Op):
    """inputs: x (N,H,W,I), weights (O,KH,KW,I) constant, bias (O,). ``padding`` crops the full
    output.
    """

    stride: tuple[int, int]
    padding: Padding = Padding()
    clamp: Clamp = INT8_RANGE


@dataclass(frozen=True, kw_only=True)
class FullyConnected(Op):
    """inputs: x (..., I) of any shape whose size divides by I, weights (O,I) constant, bias
    (O,).

    A bias is int32 in all of these: TFLite 2.14 refuses int64 beside int8 activations in the
    convolutions, and its FullyConnected takes the bytes of an int64 bias for int32.
    """

    clamp: Clamp = INT8_RANGE


@dataclass(frozen=True, kw_only=True)
class BatchMatMul(Op):
    """inputs: a (..., M, K), b (..., K, N), either of them transposed in its last two axes where
    ``adjoint_a`` or ``adjoint_b`` says so; the axes before them broadcast.

    TFLite 2.14 gives garbage, another with each run, where a is transposed and b repeats along
    the axes before; here it means the same as everywhere.
    """

    adjoint_a: bool = False
    adjoint_b: bool = False


@dataclass(frozen=True, kw_only=True)
class Add(Op):
    """inputs: a, b, broadcast as numpy does; one of them may be constant."""

    clamp: Clamp = INT8_RANGE


@dataclass(frozen=True, kw_only=True)
class Sub(Op):
    """inputs: a, b; a - b."""

    clamp: Clamp = INT8_RANGE


@dataclass(frozen=True, kw_only=True)
class Mul(Op):
    """inputs: a, b."""

    clamp: Clamp = INT8_RANGE


@dataclass(frozen=True, kw_only=True)
class Minimum(Op):
    """inputs: a, b, quantized alike."""


@dataclass(frozen=True, kw_only=True)
class Maximum(Op):
    """inputs: a, b, quantized alike."""


class PadMode(Enum):
    CONSTANT = "constant"
    REFLECT = "reflect"
    SYMMETRIC = "symmetric"


@dataclass(frozen=True, kw_only=True)
class Pad(Op):
    """inputs: x. ``pads``: (before, after) of every axis; ``value`` in x's integers (CONSTANT
    only).
    """

    pads: tuple[tuple[int, int], ...]
    mode: PadMode = PadMode.CONSTANT
    value: int = 0


@dataclass(frozen=True, kw_only=True)
class AveragePool2D(Op):
    """inputs: x (N,H,W,C). The divisor counts only elements inside the input."""

    window: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()
    clamp: Clamp = INT8_RANGE


@dataclass(frozen=True, kw_only=True)
class MaxPool2D(Op):
    """inputs: x (N,H,W,C)."""

    window: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()
    clamp: Clamp = INT8_RANGE


@dataclass(frozen=True, kw_only=True)
class Mean(Op):
    """inputs: x. ``axes`` sorted and non-negative."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True, kw_only=True)
class Softmax(Op):
    """inputs: x; over the last axis. The output has scale 1/256 and zero point -128."""

    beta: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Logistic(Op):
    """inputs: x."""


@dataclass(frozen=True, kw_only=True)
class Tanh(Op):
    """inputs: x."""


@dataclass(frozen=True, kw_only=True)
class HardSwish(Op):
    """inputs: x."""


@dataclass(frozen=True, kw_only=True)
class Gelu(Op):
    """inputs: x; x times the normal distribution's function, or tanh's approximation of it."""

    approximate: bool = False


@dataclass(frozen=True, kw_only=True)
class LeakyRelu(Op):
    """inputs: x."""

    alpha: float


@dataclass(frozen=True, kw_only=True)
class Prelu(Op):
    """inputs: x, alpha (constant, broadcast)."""


@dataclass(frozen=True, kw_only=True)
class Requantize(Op):
    """inputs: x int8 or uint8; the same real values in the output's scale, then ``clamp``.

    TFLite's QUANTIZE between integers and, with ``float32_ratio``, its RELU, RELU6 and
    RELU_N1_TO_1: those divide the two scales in float32, QUANTIZE in double, and for about one
    pair of scales in a thousand some value is rounded differently.
    """

    clamp: Clamp = INT8_RANGE
    float32_ratio: bool = False


@dataclass(frozen=True, kw_only=True)
class Quantize(Op):
    """inputs: x float32; the output int8 or uint8."""


@dataclass(frozen=True, kw_only=True)
class Dequantize(Op):
    """inputs: x int8 or uint8; the output float32."""


@dataclass(frozen=True, kw_only=True)
class Lookup(Op):
    """inputs: x int8 (or uint8), table (256,) of the output's type; ``y = table[x + 128]``
    (``table[x]``).

    Made by the passes from unary operators; no file contains it.
    """


@dataclass(frozen=True, kw_only=True)
class Reshape(Op):
    """inputs: x; the output's shape says it all."""


@dataclass(frozen=True, kw_only=True)
class Transpose(Op):
    """inputs: x."""

    perm: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Concatenation(Op):
    """inputs: any number, quantized alike."""

    axis: int


@dataclass(frozen=True, kw_only=True)
class Split(Op):
    """inputs: x; the outputs' sizes along ``axis`` add up to x's."""

    axis: int


@dataclass(frozen=True, kw_only=True)
class Slice(Op):
    """inputs: x. ``begin`` and ``strides`` (may be negative) per axis; extents are the output's
    shape.

    TFLite's SLICE and STRIDED_SLICE with masks resolved; a shrunk axis is followed by a Reshape.
    """

    begin: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ResizeNearest(Op):
    """inputs: x (N,H,W,C)."""

    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True, kw_only=True)
class ResizeBilinear(Op):
    """inputs: x (N,H,W,C)."""

    align_corners: bool = False
    half_pixel_centers: bool = False
