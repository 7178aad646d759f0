"""The graph: tensors by name, operators in an order that can be executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tinyvision.ir.ops import Op
from tinyvision.ir.types import DType, Tensor


@dataclass(frozen=True)
class Graph:
    """Immutable; a pass builds a new one.

    ``interface`` gives the element type in which the outside world feeds an input or reads an
    output where it differs from the tensor's own: FLOAT32 for an int8 tensor whose
    (de)quantization takes place at the edge, as bytes come in or go out, and UINT8 for one that
    differs by 128 only. It never costs a tensor. ``fit`` (of ``tinyvision.preprocess``) says how
    a picture is brought to the input's shape.
    """

    name: str
    tensors: Mapping[str, Tensor]
    ops: tuple[Op, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    interface: Mapping[str, DType] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    fit: str = "stretch"

    def tensor(self, name: str) -> Tensor:
        return self.tensors[name]

    def input_tensors(self, op: Op) -> tuple[Tensor, ...]:
        return tuple(self.tensors[name] for name in op.inputs)

    def output_tensors(self, op: Op) -> tuple[Tensor, ...]:
        return tuple(self.tensors[name] for name in op.outputs)

    def producers(self) -> dict[str, Op]:
        """Tensor name to the operator that defines it; inputs and constants have none."""
        return {name: op for op in self.ops for name in op.outputs}

    def consumers(self) -> dict[str, tuple[Op, ...]]:
        """Tensor name to the operators that read it, in order; every tensor has an entry."""
        users: dict[str, list[Op]] = {name: [] for name in self.tensors}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                users[name].append(op)
        return {name: tuple(ops) for name, ops in users.items()}

    def external_dtype(self, name: str) -> DType:
        """The element type in which input or output ``name`` is fed or read."""
        return self.interface.get(name, self.tensors[name].dtype)

    def with_ops(self, ops: tuple[Op, ...], tensors: Mapping[str, Tensor] | None = None) -> Graph:
        """The same graph with other operators; tensors that nothing refers to any more are
        dropped.
        """
        pool = self.tensors if tensors is None else tensors
        used = {name for op in ops for name in op.inputs + op.outputs}
        used.update(self.inputs, self.outputs)
        return replace(self, ops=ops, tensors={n: t for n, t in pool.items() if n in used})
