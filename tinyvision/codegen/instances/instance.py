"""What a family's builder hands to the renderer: one call of one kernel function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tinyvision.ir.types import Array

Scalar = int | str
Value = Scalar | tuple[Scalar, ...]

C_TYPES: dict[str, str] = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "float32": "float",
    "bool": "uint8_t",
}


@dataclass(frozen=True)
class TensorArg:
    """A pointer to a tensor of the graph that lives in RAM."""

    tensor: str


@dataclass(frozen=True, eq=False)
class ConstArg:
    """A pointer to a constant array; ``role`` completes its C name (``tv_MODEL_lNN_ROLE``).

    ``values`` is flattened in C order; its dtype decides the C type.
    """

    role: str
    values: Array

    @property
    def c_type(self) -> str:
        return C_TYPES[np.dtype(self.values.dtype).name]


@dataclass(frozen=True)
class ScratchArg:
    """A ``uint8_t *`` to the step's scratch memory, 8-byte aligned."""


Arg = TensorArg | ConstArg | ScratchArg


@dataclass(frozen=True)
class Instance:
    """One kernel call.

    ``context`` fills the template: integers, C identifiers and tuples of them, nothing else. It
    must not name the layer: two layers with equal template and context share one C function.
    ``args`` are the call's arguments in the order of the template's parameters. ``varying`` are the
    entries of ``context`` that may be read at run time where layers share code.
    """

    args: tuple[Arg, ...]
    context: Mapping[str, Value] = field(default_factory=dict)
    varying: tuple[str, ...] = ()
