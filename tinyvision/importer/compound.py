"""Operators of TFLite that are one or several of the intermediate representation in disguise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod

from tinyvision.importer.convolution import MAX_STEP
from tinyvision.importer.site import Site
from tinyvision.ir import ops
from tinyvision.ir.ops import Op
from tinyvision.ir.types import Tensor

MAX_COPIES = 1024


@dataclass(frozen=True)
class _Step:
    """``make`` takes name, inputs and outputs; it reads what the step before made, ``copies``
    times, and makes a tensor of ``shape``.
    """

    make: Callable[..., Op]
    shape: tuple[int, ...]
    copies: int = 1


def tile(site: Site) -> list[Op]:
    """TILE: along each axis the concatenation of a tensor with itself."""
    site.count((2,))
    x = site.moved_input()
    copies = site.integer_list(1, "multiples", len(x.shape))
    if not all(1 <= count <= MAX_COPIES for count in copies):
        site.stop(f"its multiples {copies} are out of range")
    steps, shape = [], x.shape
    for axis, count in enumerate(copies):
        if count > 1:
            shape = (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])
            steps.append(_Step(partial(ops.Concatenation, axis=axis), shape, count))
    return _chain(site, x, site.shaped(site.moved_output(), shape), steps)


def pack(site: Site) -> list[Op]:
    """PACK: concatenation along a new axis."""
    site.count()
    parts = [site.moved_input(position) for position in range(len(site.raw.inputs))]
    if not parts or site.option("values_count") != len(parts):
        site.stop(f"its option values_count contradicts {len(parts)} inputs")
    if len({part.shape for part in parts}) != 1:
        site.stop("its inputs have different shapes")
    inner = parts[0].shape
    axis = site.axis(site.option("axis"), len(inner) + 1)
    y = site.shaped(site.moved_output(), (*inner[:axis], len(parts), *inner[axis:]))
    site.quantized_alike(y, *parts)
    made: list[Op] = []
    names = []
    for number, part in enumerate(parts):
        name = f"{site.name}_{number}"
        slab = replace(part, name=f"{name}_out", shape=(*inner[:axis], 1, *inner[axis:]), data=None)
        names.append(site.add_tensor(slab).name)
        made.append(ops.Reshape(name=name, inputs=(part.name,), outputs=(names[-1],)))
    joined = ops.Concatenation(name=site.name, inputs=tuple(names), outputs=(y.name,), axis=axis)
    return [*made, joined]


def unpack(site: Site) -> list[Op]:
    """UNPACK: the parts along an axis, without that axis."""
    site.count((1,), outputs=None)
    x = site.moved_input()
    axis = site.axis(site.option("axis"), len(x.shape))
    count = len(site.raw.outputs)
    if not site.option("num") == count == x.shape[axis]:
        site.stop(f"its option num contradicts {count} outputs or the shape {x.shape}", x.name)
    outer, inner = x.shape[:axis], x.shape[axis + 1 :]
    made: list[Op] = []
    names = []
    for number in range(count):
        y = site.shaped(site.moved_output(number), (*outer, *inner))
        site.quantized_alike(x, y)
        name = f"{site.name}_{number}"
        slab = replace(x, name=f"{name}_in", shape=(*outer, 1, *inner), data=None)
        names.append(site.add_tensor(slab).name)
        made.append(ops.Reshape(name=name, inputs=(names[-1],), outputs=(y.name,)))
    parted = ops.Split(name=site.name, inputs=(x.name,), outputs=tuple(names), axis=axis)
    return [parted, *made]


def reduce_max(site: Site) -> list[Op]:
    """REDUCE_MAX over neighbouring axes: a MaxPool2D whose window is all of them."""
    site.count((2,))
    x = site.int8_input()
    axes = sorted({site.axis(a, len(x.shape)) for a in site.integer_list(1, "axes")})
    if not axes or axes != list(range(axes[0], axes[-1] + 1)):
        site.stop(f"only neighbouring axes are supported, not {axes}")
    outer, inner = x.shape[: axes[0]], x.shape[axes[-1] + 1 :]
    window = prod(x.shape[axis] for axis in axes)
    if window > MAX_STEP:
        site.stop(f"it takes the maximum of {window} elements, at most {MAX_STEP} are supported")
    kept = (1,) * len(axes) if site.flag("keep_dims") else ()
    y = site.shaped(site.int8_output(), (*outer, *kept, *inner))
    flat = (prod(outer), window, 1, prod(inner))
    pool = partial(ops.MaxPool2D, window=(window, 1), stride=(1, 1))
    steps = [
        _Step(ops.Reshape, flat),
        _Step(pool, (flat[0], 1, 1, flat[3])),
        _Step(ops.Reshape, y.shape),
    ]
    return _chain(site, x, y, steps)


def depth_to_space(site: Site) -> list[Op]:
    """Channels become blocks: channel (i * block + j) * depth + c goes to row i, column j."""
    x, block = _blocks(site)
    batch, height, width, channels = x.shape
    if channels % (block * block):
        site.stop(f"{channels} channels do not divide into blocks of {block}x{block}", x.name)
    depth = channels // (block * block)
    return _interleaved(
        site,
        x,
        apart=(batch, height, width, block, block, depth),
        together=(batch, height * block, width * block, depth),
        perm=(0, 1, 3, 2, 4, 5),
    )


def space_to_depth(site: Site) -> list[Op]:
    """The inverse of ``depth_to_space``."""
    x, block = _blocks(site)
    batch, height, width, channels = x.shape
    if height % block or width % block:
        site.stop(f"{height}x{width} elements do not divide into blocks of {block}", x.name)
    high, wide = height // block, width // block
    return _interleaved(
        site,
        x,
        apart=(batch, high, block, wide, block, channels),
        together=(batch, high, wide, block * block * channels),
        perm=(0, 1, 3, 2, 4, 5),
    )


def _blocks(site: Site) -> tuple[Tensor, int]:
    site.count((1,))
    x, block = site.moved_input(), site.option("block_size")
    if len(x.shape) != 4:
        site.stop(f"its input must have four axes, not the shape {x.shape}", x.name)
    if not 1 <= block <= MAX_COPIES:
        site.stop(f"its option block_size = {block} is out of range")
    return x, block


def _interleaved(
    site: Site,
    x: Tensor,
    apart: tuple[int, ...],
    together: tuple[int, ...],
    perm: tuple[int, ...],
) -> list[Op]:
    y = site.shaped(site.moved_output(), together)
    steps = [
        _Step(ops.Reshape, apart),
        _Step(partial(ops.Transpose, perm=perm), tuple(apart[axis] for axis in perm)),
        _Step(ops.Reshape, together),
    ]
    return _chain(site, x, y, steps)


def _chain(site: Site, x: Tensor, y: Tensor, steps: Sequence[_Step]) -> list[Op]:
    """``steps`` in a row from ``x`` to ``y``; a Reshape if there are none."""
    site.quantized_alike(x, y)
    steps = steps or [_Step(ops.Reshape, y.shape)]
    made: list[Op] = []
    current = x
    for number, step in enumerate(steps):
        name = f"{site.name}_{number}" if number else site.name
        target = y
        if number < len(steps) - 1:
            target = site.add_tensor(replace(x, name=f"{name}_out", shape=step.shape, data=None))
        inputs = (current.name,) * step.copies
        made.append(step.make(name=name, inputs=inputs, outputs=(target.name,)))
        current = target
    return made
