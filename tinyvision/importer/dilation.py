"""SPACE_TO_BATCH_ND, convolution, BATCH_TO_SPACE_ND: how TensorFlow spells a dilated convolution.

Sorting rows and columns into batches by their remainder modulo the dilation makes a plain
convolution of a dilated one. The converter recognises only some of these; here the three become
one ``Conv2D`` or ``DepthwiseConv2D`` again, which computes the same sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tinyvision.importer.problems import Problem
from tinyvision.importer.site import Site
from tinyvision.ir.ops import Conv2D, DepthwiseConv2D, Op, Padding
from tinyvision.ir.shapes import dilated
from tinyvision.ir.types import Tensor

MAX_BLOCK = 1 << 10


@dataclass(frozen=True, kw_only=True)
class Batching(Op):
    """Lives between the converters and ``fuse`` only. ``sides`` are rows and columns that are
    added before (``to_batch``) or taken away after.
    """

    index: int
    to_batch: bool
    block: tuple[int, int]
    sides: Padding


def space_to_batch(site: Site) -> list[Op]:
    x, block, sides = _operands(site)
    batch, height, width, channels = x.shape
    height += sides.top + sides.bottom
    width += sides.left + sides.right
    if height % block[0] or width % block[1]:
        site.stop(f"{height}x{width} elements do not divide into blocks of {block[0]}x{block[1]}")
    shape = (batch * block[0] * block[1], height // block[0], width // block[1], channels)
    return _batching(site, x, shape, to_batch=True, block=block, sides=sides)


def batch_to_space(site: Site) -> list[Op]:
    x, block, sides = _operands(site)
    batch, height, width, channels = x.shape
    height = height * block[0] - sides.top - sides.bottom
    width = width * block[1] - sides.left - sides.right
    if batch % (block[0] * block[1]) or height < 1 or width < 1:
        site.stop(f"an input of shape {x.shape} does not spread over blocks of {block}", x.name)
    shape = (batch // (block[0] * block[1]), height, width, channels)
    return _batching(site, x, shape, to_batch=False, block=block, sides=sides)


def _operands(site: Site) -> tuple[Tensor, tuple[int, int], Padding]:
    site.count((3,))
    x = site.int8_input()
    if len(x.shape) != 4:
        site.stop(f"its input must have four axes, not the shape {x.shape}", x.name)
    high, wide = site.integer_list(1, "blocks", 2)
    sides = site.integer_list(2, "paddings", 4)
    if not (1 <= high < MAX_BLOCK and 1 <= wide < MAX_BLOCK):
        site.stop(f"its block of {high}x{wide} is out of range")
    if not all(0 <= side < 1 << 15 for side in sides):
        site.stop(f"its paddings {sides} are out of range")
    return x, (high, wide), Padding(*sides)


def _batching(
    site: Site,
    x: Tensor,
    shape: tuple[int, ...],
    to_batch: bool,
    block: tuple[int, int],
    sides: Padding,
) -> list[Op]:
    y = site.shaped(site.int8_output(), shape)
    site.quantized_alike(x, y)
    return [
        Batching(
            name=site.name,
            inputs=(x.name,),
            outputs=(y.name,),
            index=site.raw.index,
            to_batch=to_batch,
            block=block,
            sides=sides,
        )
    ]


def fuse(
    ops: Sequence[Op], tensors: Mapping[str, Tensor], outputs: Sequence[str]
) -> tuple[list[Op], list[Problem]]:
    """Replaces each convolution between two Batching operators; one that is left is a problem."""
    producers = {name: op for op in ops for name in op.outputs}
    readers: dict[str, list[Op]] = {}
    for op in ops:
        for name in dict.fromkeys(op.inputs):
            readers.setdefault(name, []).append(op)
    kept = {id(op) for op in ops}
    fused: dict[int, Op] = {}
    for after in ops:
        if not isinstance(after, Batching) or after.to_batch:
            continue
        conv = producers.get(after.inputs[0])
        before = producers.get(conv.inputs[0]) if conv is not None else None
        if isinstance(before, Batching) and isinstance(conv, Conv2D | DepthwiseConv2D):
            alone = readers[after.inputs[0]] == [after] and after.inputs[0] not in outputs
            whole = _fused(before, conv, after, tensors) if alone else None
            if whole is not None:
                fused[id(after)] = whole
                kept.discard(id(conv))
                readers[before.outputs[0]].remove(conv)
    for op in ops:
        if isinstance(op, Batching) and op.to_batch:
            y = op.outputs[0]
            if y not in outputs and not readers.get(y):
                kept.discard(id(op))
    result = [fused.get(id(op), op) for op in ops if id(op) in kept]
    return [op for op in result if not isinstance(op, Batching)], [
        Problem(
            "it is supported only around a convolution that it makes a dilated one",
            op.index,
            "SPACE_TO_BATCH_ND" if op.to_batch else "BATCH_TO_SPACE_ND",
        )
        for op in result
        if isinstance(op, Batching)
    ]


def _fused(
    before: Batching,
    conv: Conv2D | DepthwiseConv2D,
    after: Batching,
    tensors: Mapping[str, Tensor],
) -> Op | None:
    """The dilated convolution, None where the three are none."""
    plain = conv.stride == (1, 1) and conv.dilation == (1, 1) and not conv.padding
    if not plain or not before.to_batch or before.block != after.block:
        return None
    x, weights = tensors[before.inputs[0]], tensors[conv.inputs[1]]
    y = tensors[after.outputs[0]]
    ends = []
    starts = (before.sides.top - after.sides.top, before.sides.left - after.sides.left)
    for axis, start in enumerate(starts):
        reach = dilated(weights.shape[1 + axis], before.block[axis])
        end = y.shape[1 + axis] - 1 + reach - x.shape[1 + axis] - start
        if not (0 <= start < reach and 0 <= end < reach):
            return None
        ends.append(end)
    return replace(
        conv,
        inputs=(x.name, *conv.inputs[1:]),
        outputs=(y.name,),
        dilation=before.block,
        padding=Padding(starts[0], ends[0], starts[1], ends[1]),
    )
