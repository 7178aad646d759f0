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

BLOCK_PIXELS = 4
"""Output pixels whose inputs the SIMD kernels widen and multiply at once."""
SMALL_BLOCK_PIXELS = 2
"""The same where memory is short."""


def padded_taps(taps: int) -> int:
    """Products a channel in the SIMD kernels, which take two at a time."""
    return taps + taps % 2


def columns_bytes(shape: Window, pixels: int) -> int:
    """Scratch of the SIMD kernels: columns of int16 inputs for a block of ``pixels``."""
    return pixels * padded_taps(shape.taps) * 2


def simd_flash_bytes(shape: Window) -> int:
    """Weights and four int32 a channel; an odd channel of a group brings a second one of zeros."""
    channels = shape.group_channels + shape.group_channels % 2
    return shape.groups * channels * (padded_taps(shape.taps) + 16)


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
        return pointwise.candidates(shape, core)
    tiles = (*winograd.candidates(graph, op, core), *winograd_rows.candidates(graph, op, core))
    return (*tiles, _simd(shape, BLOCK_PIXELS))


def thrifty_candidates(graph: Graph, op: Op, core: Core) -> tuple[Kernel, ...]:
    """Kernels that need less scratch and more time."""
    assert isinstance(op, Conv2D)
    if not core.dsp or conv2d_mve.candidates(graph, op, core):
        return ()
    shape = window(graph, op)
    if shape.is_pointwise:
        return (pointwise.thrifty(shape, core),)
    return (_simd(shape, SMALL_BLOCK_PIXELS),)


def _simd(shape: Window, pixels: int) -> Kernel:
    template = "conv2d_dsp"
    return Kernel(
        template,
        template if pixels == BLOCK_PIXELS else f"{template}_x{pixels}",
        scratch_bytes=columns_bytes(shape, pixels),
        flash_bytes=simd_flash_bytes(shape),
        overlap=(block_lead(shape, pixels), None, None),
    )


def _element_lead(shape: Window) -> int:
    """The portable kernel: each output element reads its own window."""
    pixels = np.arange(shape.pixels, dtype=np.int64)
    group = np.arange(shape.groups)[:, None]
    written = pixels * shape.channels + (group + 1) * shape.group_channels - 1
    return diagonal(written, shape.in_group(shape.first_reads(), group), shape.input_bytes)
