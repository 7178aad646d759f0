"""Operators that move elements without computing: reshape, transpose, join, split and slice."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tinyvision.importer.site import Site
from tinyvision.importer.slices import Slices, strided_slices
from tinyvision.ir import ops
from tinyvision.ir.ops import Op
from tinyvision.ir.types import Tensor


def reshape(site: Site) -> list[Op]:
    """The shape is the second input or, in old files, an option. One entry may be -1."""
    site.count((1, 2))
    stated = site.option_list("new_shape")
    if len(site.raw.inputs) == 2:
        stated = site.integer_list(1, "sizes")
    elif not stated:
        site.stop("it states no shape")
    x, y = site.moved_input(), site.moved_output()
    known = prod(extent for extent in stated if extent != -1)
    if stated.count(-1) == 1 and known > 0 and x.elements % known == 0:
        stated = tuple(x.elements // known if extent == -1 else extent for extent in stated)
    if x.elements != prod(stated) or min(stated, default=1) < 1:
        site.stop(f"an input of shape {x.shape} cannot have the shape {stated}", x.name)
    return _reshaped(site, x, site.shaped(y, stated))


def squeeze(site: Site) -> list[Op]:
    """Without axes, every axis of extent 1 goes."""
    site.count((1,))
    x, y = site.moved_input(), site.moved_output()
    stated = site.option_list("squeeze_dims")
    axes = {site.axis(axis, len(x.shape)) for axis in stated}
    if not stated:
        axes = {axis for axis, extent in enumerate(x.shape) if extent == 1}
    if any(x.shape[axis] != 1 for axis in axes):
        site.stop(f"axes {sorted(axes)} of {x.shape} are not all of extent 1", x.name)
    shape = tuple(extent for axis, extent in enumerate(x.shape) if axis not in axes)
    return _reshaped(site, x, site.shaped(y, shape))


def expand_dims(site: Site) -> list[Op]:
    site.count((2,))
    x, y = site.moved_input(), site.moved_output()
    (stated,) = site.integer_list(1, "axes", 1)
    axis = site.axis(stated, len(x.shape) + 1)
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return _reshaped(site, x, site.shaped(y, shape))


def transpose(site: Site) -> list[Op]:
    site.count((2,))
    x, y = site.moved_input(), site.moved_output()
    site.quantized_alike(x, y)
    rank = len(x.shape)
    perm = tuple(site.axis(axis, rank) for axis in site.integer_list(1, "axes", rank))
    return [ops.Transpose(name=site.name, inputs=(x.name,), outputs=(y.name,), perm=perm)]


def concatenation(site: Site) -> list[Op]:
    """TFLite's int8 kernel refuses operands that would have to be rescaled, and so does this."""
    site.count()
    if not site.raw.inputs:
        site.stop("it has no inputs")
    parts = [site.moved_input(position) for position in range(len(site.raw.inputs))]
    y = site.moved_output()
    site.quantized_alike(y, *parts)
    site.no_activation()
    axis = site.axis(site.option("axis"), len(y.shape))
    names = tuple(part.name for part in parts)
    return [ops.Concatenation(name=site.name, inputs=names, outputs=(y.name,), axis=axis)]


def split(site: Site) -> list[Op]:
    """SPLIT: inputs axis and x; the parts are equal."""
    site.count((2,), outputs=None)
    x = site.moved_input(1)
    (stated,) = site.integer_list(0, "axes", 1)
    axis = site.axis(stated, len(x.shape))
    parts = _parts(site, x)
    if x.shape[axis] % len(parts):
        site.stop(f"{x.shape[axis]} elements do not divide into {len(parts)} equal parts", x.name)
    sizes = [x.shape[axis] // len(parts)] * len(parts)
    return _split(site, x, parts, axis, sizes)


def split_by_sizes(site: Site) -> list[Op]:
    """SPLIT_V: inputs x, sizes and axis; one size may be -1."""
    site.count((3,), outputs=None)
    x = site.moved_input(0)
    parts = _parts(site, x)
    sizes = list(site.integer_list(1, "sizes", len(parts)))
    (stated,) = site.integer_list(2, "axes", 1)
    axis = site.axis(stated, len(x.shape))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = x.shape[axis] - sum(sizes) - 1
    return _split(site, x, parts, axis, sizes)


def slice_(site: Site) -> list[Op]:
    """SLICE: a size of -1 goes to the end."""
    site.count((3,))
    x = site.moved_input()
    rank = len(x.shape)
    begins = site.integer_list(1, "begins", rank)
    sizes = site.integer_list(2, "sizes", rank)
    counts = tuple(
        extent - begin if size == -1 else size
        for extent, begin, size in zip(x.shape, begins, sizes, strict=True)
    )
    return _sliced(site, x, Slices(begins, (1,) * rank, counts, counts))


def strided_slice(site: Site) -> list[Op]:
    site.count((4,))
    x = site.moved_input()
    return _sliced(site, x, strided_slices(site, x.shape))


def _reshaped(site: Site, x: Tensor, y: Tensor) -> list[Op]:
    site.quantized_alike(x, y)
    return [ops.Reshape(name=site.name, inputs=(x.name,), outputs=(y.name,))]


def _parts(site: Site, x: Tensor) -> list[Tensor]:
    count = len(site.raw.outputs)
    if count == 0 or site.option("num_splits") != count:
        site.stop(
            f"its option num_splits = {site.option('num_splits')} contradicts {count} outputs"
        )
    parts = [site.moved_output(position) for position in range(count)]
    site.quantized_alike(x, *parts)
    return parts


def _split(site: Site, x: Tensor, parts: list[Tensor], axis: int, sizes: list[int]) -> list[Op]:
    for part, size in zip(parts, sizes, strict=True):
        site.shaped(part, (*x.shape[:axis], size, *x.shape[axis + 1 :]))
    names = tuple(part.name for part in parts)
    return [ops.Split(name=site.name, inputs=(x.name,), outputs=names, axis=axis)]


def _sliced(site: Site, x: Tensor, slices: Slices) -> list[Op]:
    """A Slice, and a Reshape after it where axes vanish or appear."""
    y = site.shaped(site.moved_output(), slices.shape)
    site.quantized_alike(x, y)
    target = y
    if slices.counts != slices.shape:
        name = f"{y.name}_slice"
        target = site.add_tensor(replace(y, name=name, shape=slices.counts))
    taken = ops.Slice(
        name=site.name,
        inputs=(x.name,),
        outputs=(target.name,),
        begin=slices.begins,
        strides=slices.strides,
    )
    if target is y:
        return [taken]
    shaped = ops.Reshape(name=f"{site.name}_reshape", inputs=(target.name,), outputs=(y.name,))
    return [taken, shaped]
