"""Kernels of Conv2D: direct in portable C, and for SIMD cores rows of a matrix product."""

from __future__ import annotations

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Conv2D, Op
from tinyvision.kernels import conv2d_lanes, conv2d_mve, pointwise, winograd, winograd_rows
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.requant import requantization
from tinyvision.kernels.window import Window, block_lead, diagonal, window
from tinyvision.target.core import Core

SIMD = "conv2d_dsp"
BLOCK_PIXELS = 4
"""Output pixels whose inputs the SIMD kernels widen and multiply at once."""
SMALL_BLOCK_PIXELS = 2
"""The same where memory is short."""
TILED_CHANNELS = 8
"""For fewer output channels it takes more to filter tiles of inputs than that saves."""


def run_length(shape: Window) -> tuple[int, int]:
    """How many inputs lie side by side under a window, and how many such runs it has."""
    if shape.groups == 1 and shape.dilation[1] == 1:
        return shape.kernel[1] * shape.depth, shape.kernel[0]
    return shape.group_depth, shape.kernel[0] * shape.kernel[1]


def columns_bytes(shape: Window, pixels: int) -> int:
    """Scratch of the SIMD kernels: columns of int16 inputs for a block of ``pixels``, and a run
    that is partly padding.
    """
    columns = pixels * pointwise.padded_taps(shape.taps) * 2 + pointwise.AHEAD_BYTES
    return -(-(columns + run_length(shape)[0]) // 8) * 8


def simd_stream_bytes(shape: Window) -> int:
    """What ``pointwise`` has for a pair of channels, for those of each group."""
    words = pointwise.padded_taps(shape.taps) // 2 + pointwise.BESIDE_WEIGHTS
    return 4 * words * len(pointwise.pairs(shape.group_channels)) * shape.groups


def candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    assert isinstance(op, Conv2D)
    shape = window(graph, op)
    tables = requantization(graph, op).table_bytes + 4 * shape.channels
    if not core.dsp:
        portable = Kernel(
            "conv2d",
            "conv2d",
            flash_bytes=shape.taps * shape.channels + tables,
            overlap=(_element_lead(shape), None, None),
        )
        return (*conv2d_lanes.candidates(graph, op, core), portable)
    vectors = conv2d_mve.candidates(graph, op, core)
    if vectors:
        return vectors
    if shape.is_pointwise:
        return pointwise.candidates(graph, op, core)
    tiles = (*winograd.candidates(graph, op, core), *winograd_rows.candidates(graph, op, core))
    copied = pointwise.is_copied(shape, simd_stream_bytes(shape), core)
    in_ram = (_simd(shape, core, BLOCK_PIXELS, pointwise.IN_RAM),) if copied else ()
    direct = (*in_ram, _simd(shape, core, BLOCK_PIXELS))
    few = shape.group_channels < TILED_CHANNELS
    return (*direct, *tiles) if few else (*tiles, *direct)


def thrifty_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Kernels that need less scratch and more time."""
    assert isinstance(op, Conv2D)
    if not core.dsp or conv2d_mve.candidates(graph, op, core):
        return ()
    shape = window(graph, op)
    if shape.is_pointwise:
        return (pointwise.thrifty(shape, core),)
    return (_simd(shape, core, SMALL_BLOCK_PIXELS, pointwise.SMALL),)


def _simd(shape: Window, core: Core, pixels: int, kind: str = "") -> Kernel:
    copied = simd_stream_bytes(shape) if kind == pointwise.IN_RAM else 0
    return Kernel(
        SIMD,
        SIMD + kind + (pointwise.DUAL if core.dual else ""),
        scratch_bytes=columns_bytes(shape, pixels) + -(-copied // 8) * 8,
        flash_bytes=simd_stream_bytes(shape),
        overlap=(block_lead(shape, pixels), None, None),
        by_rows=not copied,
        pixels=0 if copied else pixels,
    )


def _element_lead(shape: Window) -> int:
    """The portable kernel: each output element reads its own window."""
    pixels = np.arange(shape.pixels, dtype=np.int64)
    group = np.arange(shape.groups)[:, None]
    written = pixels * shape.channels + (group + 1) * shape.group_channels - 1
    return diagonal(written, shape.in_group(shape.first_reads(), group), shape.input_bytes)
