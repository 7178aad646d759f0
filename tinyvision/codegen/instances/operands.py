"""Arguments that many families build alike."""

from __future__ import annotations

from tinyvision.codegen.instances.instance import Arg, ConstArg, TensorArg
from tinyvision.ir.types import Tensor


def operand(tensor: Tensor, role: str) -> Arg:
    """A tensor in RAM, or a constant called ``role``."""
    if tensor.data is not None:
        return ConstArg(role, tensor.data)
    return TensorArg(tensor.name)
