"""A graph as text that a person can read, one line an operator."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum

from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import macs
from tinyvision.ir.ops import Op, Padding
from tinyvision.ir.types import QuantParams, Tensor

_STRUCTURE = {"name", "inputs", "outputs"}


def to_text(graph: Graph) -> str:
    """``graph`` as text: inputs, one line an operator in order, outputs. Ends with a newline.

    Constants are shown by type and shape only. Attributes that have their default are left out.
    """
    lines = [f"graph {graph.name}"]
    lines += [f"  input  {_edge(graph, name)}" for name in graph.inputs]
    lines += [f"  {op_to_text(graph, op)}" for op in graph.ops]
    lines += [f"  output {_edge(graph, name)}" for name in graph.outputs]
    return "\n".join(lines) + "\n"


def op_to_text(graph: Graph, op: Op) -> str:
    """``outputs = Kind(inputs, attributes)  # name, MACs`` on one line."""
    outputs = ", ".join(_tensor(tensor) for tensor in graph.output_tensors(op))
    arguments = [
        _constant(tensor) if tensor.is_constant else f"%{tensor.name}"
        for tensor in graph.input_tensors(op)
    ]
    for attribute in fields(op):
        value = getattr(op, attribute.name)
        if attribute.name not in _STRUCTURE and value != attribute.default:
            arguments.append(f"{attribute.name}={_value(value)}")
    count = macs(graph, op)
    note = f"{op.name}, {count} MACs" if count else op.name
    return f"{outputs} = {op.kind}({', '.join(arguments)})  # {note}"


def _edge(graph: Graph, name: str) -> str:
    external = graph.external_dtype(name)
    text = _tensor(graph.tensor(name))
    return text if external is graph.tensor(name).dtype else f"{text} as {external.value}"


def _tensor(tensor: Tensor) -> str:
    return f"%{tensor.name}: {_type(tensor)}{_quant(tensor.quant)}"


def _constant(tensor: Tensor) -> str:
    return f"{_type(tensor)}{_quant(tensor.quant)}"


def _type(tensor: Tensor) -> str:
    return f"{tensor.dtype.value}[{'x'.join(str(extent) for extent in tensor.shape)}]"


def _quant(quant: QuantParams | None) -> str:
    if quant is None:
        return ""
    if len(quant.scales) > 1:
        return f"{{{len(quant.scales)} scales}}"
    sign = "+" if quant.zero_point <= 0 else "-"
    return f"{{{quant.scale:.6g}*(q{sign}{abs(quant.zero_point)})}}"


def _value(value: object) -> str:
    if isinstance(value, Padding):
        return f"({value.top},{value.bottom},{value.left},{value.right})"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return f"({','.join(_value(item) for item in value)})"
    return str(value)
