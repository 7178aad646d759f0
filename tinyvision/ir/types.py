"""Data types, quantization parameters and tensors of the intermediate representation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class DType(Enum):
    """Element type; the value is numpy's name of it."""

    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.value)

    @property
    def size_bytes(self) -> int:
        return int(self.numpy.itemsize)


@dataclass(frozen=True)
class QuantParams:
    """``real = scale * (quantized - zero_point)``, for the whole tensor or for each index of
    ``axis``.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantization."""
        if len(self.scales) != 1:
            raise ValueError("per-axis quantization has no single scale")
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantization."""
        if len(self.zero_points) != 1:
            raise ValueError("per-axis quantization has no single zero point")
        return self.zero_points[0]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the graph: a constant where ``data`` is given, computed or fed otherwise.

    ``data`` is never written to after construction (it is marked read-only).
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quant: QuantParams | None = None
    data: Array | None = None

    def __post_init__(self) -> None:
        if self.data is not None:
            if self.data.shape != self.shape or self.data.dtype != self.dtype.numpy:
                raise ValueError(
                    f"constant {self.name!r} is {self.data.dtype}{self.data.shape}, "
                    f"declared {self.dtype.value}{self.shape}"
                )
            frozen = self.data.view()
            frozen.flags.writeable = False
            object.__setattr__(self, "data", frozen)

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.elements * self.dtype.size_bytes

    @property
    def scale(self) -> float:
        if self.quant is None:
            raise ValueError(f"tensor {self.name!r} is not quantized")
        return self.quant.scale

    @property
    def zero_point(self) -> int:
        if self.quant is None:
            raise ValueError(f"tensor {self.name!r} is not quantized")
        return self.quant.zero_point
