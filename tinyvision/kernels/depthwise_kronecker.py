"""Wide kernels of DepthwiseConv2D on cores with SIMD: polynomials packed into integers.

A row of inputs times a row of weights is a product of polynomials. Two inputs that lie ``stride``
apart are packed into a word, x0 + x1 * 2**21, two taps into another, w1 + w0 * 2**21: ``SMLAL``
multiplies the four at once, and the three fields of its 64 bits sum what they give to three
outputs next to each other (Kronecker substitution; Harvey, "Faster polynomial multiplication via
multipoint Kronecker substitution", 2009). ``SMLAD`` does two products.

Inputs come less the zero point, nine bits. Each field starts from a number that makes it
non-negative whatever the inputs are, and stays below 2**21, which ``fields`` proves from the
weights. Field 1 of sum n is output 2 * n; field 2 and field 0 of the next sum are output 2 * n + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyvision.ir.derive import conv_requant
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import DepthwiseConv2D
from tinyvision.ir.types import Array
from tinyvision.kernels.window import Window

TEMPLATE = "depthwise_conv2d_kronecker"
FIELD_BITS = 21
LEAST_COLUMNS = 4
"""Narrower kernels are faster with ``SMLAD``: taking fields apart costs two cycles an output."""
START_WORDS = 2
"""Words of a channel that its sums start from."""
LEAST_SUMS = 3
"""Shorter rows are faster with ``SMLAD``: more of their time goes into what is done once a row."""
MOST_ROW_WORDS = 6
"""Words of weights of a kernel row that registers hold beside two sums."""


def phase_taps(shape: Window) -> list[int]:
    """Of each phase, the inputs whose column has the same remainder by the stride, how many taps of
    a kernel row meet it.
    """
    columns, stride = shape.kernel[1], shape.stride[1]
    return [-(-(columns - phase) // stride) for phase in range(min(stride, columns))]


def phase_words(shape: Window) -> list[int]:
    """Words of weights of a kernel row: two taps each, phase by phase."""
    return [-(-taps // 2) for taps in phase_taps(shape)]


def row_words(shape: Window) -> int:
    """All of them."""
    return sum(phase_words(shape))


def sums(shape: Window) -> int:
    """Sums of 64 bits of an output row."""
    return shape.output[1] // 2 + 1


def line_words(shape: Window) -> int:
    """Words of a line: of each phase as many as the last sum reads, side by side."""
    return (sums(shape) + phase_words(shape)[0] - 1) * shape.stride[1]


@dataclass(frozen=True, eq=False)
class Fields:
    """Of each channel (int64 arrays): ``zero``, from which field 0 starts; ``least`` and ``most``,
    the numbers that outputs may start from: field 1, and fields 0 and 2 together.
    """

    zero: Array
    least: Array
    most: Array


def fields(graph: Graph, op: DepthwiseConv2D, shape: Window) -> Fields | None:
    """None where a field could leave its bits."""
    weights = graph.tensor(op.inputs[1]).data
    assert weights is not None
    zero_point = conv_requant(graph, op).input_zero_point
    taps = np.moveaxis(weights[0].astype(np.int64), 2, 0)
    ends = [taps * (x - zero_point) for x in (-128, 127)]
    low, high = np.minimum(*ends), np.maximum(*ends)
    odd = np.arange(shape.kernel[1]) // shape.stride[1] % 2 == 1
    least, most = -low.sum(axis=(1, 2)), 2**FIELD_BITS - 1 - high.sum(axis=(1, 2))
    if np.any(least > most):
        return None
    return Fields(-low[:, :, odd].sum(axis=(1, 2)), least, most)


def applies(graph: Graph, op: DepthwiseConv2D, shape: Window) -> bool:
    """Whether the kernel computes ``op``, one input channel an output, no dilation."""
    return (
        shape.kernel[1] >= max(LEAST_COLUMNS, shape.stride[1])
        and sums(shape) >= LEAST_SUMS
        and row_words(shape) <= MOST_ROW_WORDS
        and fields(graph, op, shape) is not None
    )


def pack(taps: Array, shape: Window) -> Array:
    """(channels, rows, columns) int8 to (channels, rows, ``row_words``) int32."""
    words = []
    for phase, count in enumerate(phase_taps(shape)):
        of_phase = taps[:, :, phase :: shape.stride[1]].astype(np.int64)
        padded = np.pad(of_phase, ((0, 0), (0, 0), (0, count % 2)))
        words.append(padded[:, :, 1::2] + (padded[:, :, ::2] << FIELD_BITS))
    packed: Array = np.concatenate(words, axis=2).astype(np.int32)
    return packed


def starts(found: Fields, start: Array) -> Array:
    """(channels, 2) int32: the 64 bits that a channel's sums start from, its outputs at
    ``start``.
    """
    second = start - found.zero
    total = found.zero + (start << FIELD_BITS) + (second << 2 * FIELD_BITS)
    halves: Array = np.stack((total & 0xFFFFFFFF, total >> 32), axis=1).astype(np.uint32)
    return halves.view(np.int32)
