"""Integers that are known once shapes are: what converters write to compute a Reshape's shape.

A model that was converted with a dynamic batch computes shapes at run time, with SHAPE,
STRIDED_SLICE, PACK and the like. With the shapes fixed all of these are constants, and no
operator is left of them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from tinyvision.importer import schema
from tinyvision.importer.site import Site
from tinyvision.importer.slices import strided_slices
from tinyvision.ir.types import Array, DType, Tensor

MAX_ELEMENTS = 1024

Fold = Callable[[Site], Array]


def applies(site: Site) -> bool:
    """Whether the operator computes integers (not quantized values) from constants."""
    if not all(site.has(position) for position in range(len(site.raw.inputs))):
        return False
    inputs = [site.input(position) for position in range(len(site.raw.inputs))]
    return bool(inputs) and all(
        tensor.dtype in (DType.INT32, DType.INT64)
        and tensor.data is not None
        and tensor.elements <= MAX_ELEMENTS
        for tensor in inputs
    )


def folded(site: Site, fold: Fold) -> None:
    """Computes the operator's only output and makes it a constant."""
    site.count()
    y = site.output()
    if y.dtype not in (DType.INT32, DType.INT64):
        site.stop(f"it makes {y.dtype.value} of integers", y.name)
    value = fold(site)
    info = np.iinfo(y.dtype.numpy)
    if value.size and not info.min <= value.min() <= value.max() <= info.max:
        site.stop(f"its result does not fit into {y.dtype.value}", y.name)
    site.shaped(y, value.shape)
    site.fold(value.astype(y.dtype.numpy))


def shape(site: Site) -> Array:
    """SHAPE: of a tensor of any type, whose elements do not matter."""
    site.count((1,))
    _stated_type(site, "out_type", site.output())
    return np.array(site.input(0).shape, np.int64)


def strided_slice(site: Site) -> Array:
    site.count((4,))
    values = site.integers(0, "values")
    slices = strided_slices(site, values.shape)
    taken = tuple(
        np.arange(first, first + count * step, step)
        for first, step, count in zip(slices.begins, slices.strides, slices.counts, strict=True)
    )
    result: Array = values[np.ix_(*taken)].reshape(slices.shape)
    return result


def pack(site: Site) -> Array:
    parts = _parts(site)
    if site.option("values_count") != len(parts):
        site.stop(f"its option values_count contradicts {len(parts)} inputs")
    if len({part.shape for part in parts}) != 1:
        site.stop("its inputs have different shapes")
    return np.stack(parts, site.axis(site.option("axis"), parts[0].ndim + 1))


def concatenation(site: Site) -> Array:
    parts = _parts(site)
    site.no_activation()
    axis = site.axis(site.option("axis"), parts[0].ndim)
    outer = {(*part.shape[:axis], *part.shape[axis + 1 :]) for part in parts}
    if len({part.ndim for part in parts}) != 1 or len(outer) != 1:
        site.stop("the shapes of its inputs do not go together")
    return np.concatenate(parts, axis)


def product(site: Site) -> Array:
    """REDUCE_PROD, in Python's integers so that nothing wraps around."""
    site.count((2,))
    values = site.integers(0, "values")
    axes = {site.axis(axis, values.ndim) for axis in site.integer_list(1, "axes")}
    keep = site.flag("keep_dims")
    if axes != set(range(values.ndim)):
        site.stop("only the product over all axes is supported")
    result = prod(int(value) for value in values.reshape(-1))
    if not -(2**63) <= result < 2**63:
        site.stop("its result does not fit into an integer")
    return np.array(result, np.int64).reshape((1,) * values.ndim if keep else ())


def cast(site: Site) -> Array:
    """CAST between int32 and int64."""
    site.count((1,))
    _stated_type(site, "in_data_type", site.input(0))
    _stated_type(site, "out_data_type", site.output())
    return site.integers(0, "values")


def gather(site: Site) -> Array:
    """GATHER of a vector's entries."""
    site.count((2,))
    values, indices = site.integers(0, "values"), site.integers(1, "indices")
    if site.option("batch_dims") or values.ndim != 1 or site.axis(site.option("axis"), 1):
        site.stop("only entries of a vector are supported")
    if indices.size and not 0 <= indices.min() <= indices.max() < values.size:
        site.stop("an index is out of range")
    return np.asarray(values[indices])


def _stated_type(site: Site, name: str, tensor: Tensor) -> None:
    """An option that says what the tensor says already; FLOAT32 is the default of such fields."""
    stated = site.choice(name, schema.TENSOR_TYPES)
    if schema.DTYPES.get(stated) not in (DType.FLOAT32, tensor.dtype):
        site.refuse(f"its option {name} = {stated} contradicts the tensor", tensor.name)


def _parts(site: Site) -> list[Array]:
    return [site.integers(position, "values") for position in range(len(site.raw.inputs))]
