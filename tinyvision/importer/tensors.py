"""From a tensor as the file states it to one of the intermediate representation."""

from __future__ import annotations

from math import isfinite, prod

import numpy as np

from tinyvision.errors import ModelError
from tinyvision.importer import schema
from tinyvision.importer.model_file import RawModel, RawQuant, RawTensor
from tinyvision.importer.problems import Problem, Refusal
from tinyvision.ir.types import Array, DType, QuantParams, Tensor

MAX_RANK = 6
MAX_ELEMENTS = 1 << 24
MAX_NAME = 200

# The smallest normal float32: below it a scale has lost its precision, or is zero.
MIN_SCALE = float(np.finfo(np.float32).tiny)


def unique_names(raw: RawModel) -> tuple[str, ...]:
    """A name for every tensor: the file's, made printable, short and unique."""
    names: list[str] = []
    taken: set[str] = set()
    for tensor in raw.tensors:
        stem = "".join(c if c.isprintable() else "_" for c in tensor.name[:MAX_NAME])
        name = stem = stem or f"tensor_{tensor.index}"
        if name in taken:
            name = f"{stem}_{tensor.index}"
        while name in taken:
            name += "_"
        taken.add(name)
        names.append(name)
    return tuple(names)


def convert(raw: RawModel, tensor: RawTensor, name: str) -> Tensor:
    """Raises Refusal for what is sound but not supported, ModelError for what is broken."""
    type_name = schema.tensor_type_name(tensor.type)
    for present, what in (
        (tensor.is_variable, "variable tensors keep state between runs and"),
        (tensor.is_sparse, "sparse tensors"),
        (tensor.is_variant, "variant tensors"),
        (tensor.external_data, "buffers outside the FlatBuffer"),
    ):
        if present:
            raise Refusal(Problem(f"{what} are not supported", tensor=name))
    dtype = schema.DTYPES.get(type_name)
    if dtype is None:
        hint = "Quantize the weights to int8." if type_name in ("INT4", "FLOAT16") else ""
        raise Refusal(Problem(f"{type_name} tensors are not supported", tensor=name, hint=hint))
    shape = _shape(raw, tensor, name)
    quant = _quant(raw, tensor, dtype, shape, name)
    data = _data(raw, tensor, dtype, shape, name)
    return Tensor(name, shape, dtype, quant, data)


def may_become(tensor: RawTensor, shape: tuple[int, ...]) -> bool:
    """Whether the file leaves the shape open: what it states then is only a placeholder."""
    if tensor.data is not None or prod(shape) > MAX_ELEMENTS or len(shape) > MAX_RANK:
        return False
    if tensor.signature is None:
        return tensor.dynamic
    return len(tensor.signature) == len(shape) and all(
        stated in (-1, extent) for stated, extent in zip(tensor.signature, shape, strict=True)
    )


def _broken(raw: RawModel, name: str, why: str) -> ModelError:
    return ModelError(
        f"tensor {name!r} cannot be used",
        raw.file.where,
        why,
        "Export the model again; a sound converter does not write this.",
    )


def _shape(raw: RawModel, tensor: RawTensor, name: str) -> tuple[int, ...]:
    shape = tensor.shape
    if any(extent < 0 for extent in shape):
        raise Refusal(
            Problem(
                f"the shape {shape} is not fixed",
                tensor=name,
                hint="Convert with a fixed input shape (batch size 1).",
            )
        )
    if 0 in shape:
        raise Refusal(Problem(f"the shape {shape} holds no elements", tensor=name))
    if len(shape) > MAX_RANK:
        raise Refusal(
            Problem(f"{len(shape)} axes are not supported, at most {MAX_RANK} are", tensor=name)
        )
    if prod(shape) > MAX_ELEMENTS:
        raise _broken(
            raw, name, f"its shape {shape} has more than {MAX_ELEMENTS} elements, beyond any board"
        )
    return shape


def _quant(
    raw: RawModel, tensor: RawTensor, dtype: DType, shape: tuple[int, ...], name: str
) -> QuantParams | None:
    """Validated as TFLite's ParseQuantization does, and the values beyond that."""
    stored = tensor.quant
    if stored is None:
        return None
    if stored.custom:
        raise Refusal(Problem("custom quantization is not supported", tensor=name))
    if not stored.scales or dtype is DType.FLOAT32:
        return None
    if stored.zero_points is None or len(stored.zero_points) != len(stored.scales):
        zero_points = len(stored.zero_points or ())
        raise _broken(
            raw, name, f"it has {len(stored.scales)} scales but {zero_points} zero points"
        )
    _check_scales(raw, stored, dtype, name)
    count = len(stored.scales)
    axis_exists = 0 <= stored.axis < max(len(shape), 1)
    if count == 1 and axis_exists:
        return QuantParams(stored.scales, stored.zero_points)
    if not axis_exists or not shape or shape[stored.axis] != count:
        raise _broken(
            raw,
            name,
            f"it has {count} scales along axis {stored.axis} of shape {shape}",
        )
    return QuantParams(stored.scales, stored.zero_points, stored.axis)


def _check_scales(raw: RawModel, quant: RawQuant, dtype: DType, name: str) -> None:
    assert quant.zero_points is not None
    # The scale of an int32 bias is the product of two others, and nothing is computed from it.
    least = MIN_SCALE if dtype in (DType.INT8, DType.UINT8) else 0.0
    for scale in quant.scales:
        if not isfinite(scale) or scale < least:
            raise _broken(raw, name, f"its scale is {scale}; it must be positive and normal")
    if dtype in (DType.INT8, DType.UINT8, DType.INT16):
        low, high = int(np.iinfo(dtype.numpy).min), int(np.iinfo(dtype.numpy).max)
        for zero_point in quant.zero_points:
            if not low <= zero_point <= high:
                raise _broken(raw, name, f"its zero point {zero_point} is not an {dtype.value}")


def _data(
    raw: RawModel, tensor: RawTensor, dtype: DType, shape: tuple[int, ...], name: str
) -> Array | None:
    if tensor.data is None:
        return None
    start, length = tensor.data
    elements = prod(shape)
    if length != elements * dtype.size_bytes:
        raise _broken(
            raw,
            name,
            f"its buffer has {length} bytes, but {dtype.value} of shape {shape} takes "
            f"{elements * dtype.size_bytes}",
        )
    stored = np.frombuffer(raw.file.data, dtype.numpy.newbyteorder("<"), elements, start)
    # Aligned and in the machine's byte order; bytes stay a view of the file.
    return np.require(stored, dtype.numpy, ["ALIGNED"]).reshape(shape)
