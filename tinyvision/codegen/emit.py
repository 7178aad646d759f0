"""From graph and plan to the files of the model's C library."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from tinyvision import __version__
from tinyvision.codegen import self_test
from tinyvision.codegen.instances import build
from tinyvision.codegen.instances.instance import C_TYPES, ConstArg, Instance, TensorArg, Value
from tinyvision.codegen.names import c_identifier
from tinyvision.codegen.render import checked_context, render, render_kernel
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import DType
from tinyvision.schedule.plan import Buffer, Plan, Step
from tinyvision.target.board import Board

DTYPES: dict[DType, str] = {
    DType.INT8: "TV_INT8",
    DType.UINT8: "TV_UINT8",
    DType.INT16: "TV_INT16",
    DType.INT32: "TV_INT32",
    DType.FLOAT32: "TV_FLOAT32",
    DType.INT64: "TV_INT64",
    DType.BOOL: "TV_BOOL",
}


@dataclass(frozen=True)
class Argument:
    """One argument of a kernel call, as the template prints it; ``bank`` is -1 for a constant."""

    c_type: str
    bank: int
    offset: int
    constant: str
    note: str


@dataclass(frozen=True)
class Layer:
    """One layer function: a comment and one call."""

    index: int
    op: Op
    kernel: str
    function: str
    arguments: tuple[Argument, ...]
    shapes: str


@dataclass(frozen=True)
class Port:
    """A network input or output as the header and the tensor tables print it."""

    name: str
    bank: int
    offset: int
    size_bytes: int
    dtype: str
    c_type: str
    external: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    elements: int


def emit(graph: Graph, plan: Plan, board: Board, model_data: bytes = b"") -> dict[str, str]:
    """The C library of ``graph`` scheduled by ``plan``: path inside the library to text.

    ``model_data``: the bytes of the file the graph came from; their hash lets a host tell which
    model a board runs. The same arguments give the same text.
    """
    context = model_context(graph, plan, board)
    model = context["model"]
    kernels, layers, constants = _layers(graph, plan, model)
    seed, crc = self_test.known_answer(graph)
    context |= {
        "hash": hashlib.sha256(model_data).digest()[:16],
        "labels": graph.labels,
        "kernels": kernels,
        "layers": layers,
        "constants": constants,
        "self_test_seed": seed,
        "self_test_crc": crc,
    }
    files = {
        "include/tv_runtime.h": "tv_runtime.h.j2",
        f"include/tv_{model}.h": "model.h.j2",
        "src/tv_kernel.h": "tv_kernel.h.j2",
        f"src/tv_{model}.c": "model.c.j2",
        f"src/tv_{model}_data.h": "model_data.h.j2",
        f"src/tv_{model}_data.c": "model_data.c.j2",
        "library.json": "library.json.j2",
    }
    return {path: render(template, context) for path, template in files.items()}


def model_context(graph: Graph, plan: Plan, board: Board) -> dict[str, Any]:
    """What templates say of a model without looking into it: names, plan, inputs and outputs."""
    banks = _bank_numbers(plan)
    return {
        "model": c_identifier(graph.name),
        "title": graph.name,
        "version": __version__,
        "board": board,
        "plan": plan,
        "inputs": [_port(graph, plan, banks, name) for name in graph.inputs],
        "outputs": [_port(graph, plan, banks, name) for name in graph.outputs],
    }


def _bank_numbers(plan: Plan) -> dict[str, int]:
    return {bank.name: index for index, bank in enumerate(plan.banks)}


def _layers(
    graph: Graph, plan: Plan, model: str
) -> tuple[list[str], list[Layer], list[tuple[str, ConstArg]]]:
    """Texts of the distinct kernel functions, the layers that call them, and named constants."""
    banks = _bank_numbers(plan)
    ops = {op.name: op for op in graph.ops}
    functions: dict[tuple[str, tuple[tuple[str, Value], ...]], str] = {}
    texts: list[str] = []
    layers: list[Layer] = []
    constants: list[tuple[str, ConstArg]] = []
    for index, step in enumerate(plan.steps):
        op = ops[step.op]
        instance = build(graph, op, step.kernel)
        context = checked_context(instance.context)
        key = (step.kernel.template, tuple(sorted(context.items())))
        if key not in functions:
            count = sum(template == step.kernel.template for template, _ in functions)
            functions[key] = f"tv_{step.kernel.template}_{count}"
            texts.append(render_kernel(step.kernel.template, functions[key], context))
        prefix = f"tv_{model}_l{index:02d}"
        layers.append(
            Layer(
                index=index,
                op=op,
                kernel=step.kernel.variant,
                function=functions[key],
                arguments=_arguments(graph, plan, step, op, instance, banks, prefix),
                shapes=_shapes(graph, op),
            )
        )
        constants += [
            (f"{prefix}_{arg.role}", arg) for arg in instance.args if isinstance(arg, ConstArg)
        ]
    return texts, layers, constants


def _arguments(
    graph: Graph,
    plan: Plan,
    step: Step,
    op: Op,
    instance: Instance,
    banks: dict[str, int],
    prefix: str,
) -> tuple[Argument, ...]:
    def place(buffer: Buffer, c_type: str, note: str) -> Argument:
        return Argument(c_type, banks[buffer.bank], buffer.offset, "", note)

    result = []
    for arg in instance.args:
        if isinstance(arg, TensorArg):
            c_type = C_TYPES[graph.tensor(arg.tensor).dtype.value]
            constness = "" if arg.tensor in op.outputs else "const "
            buffer = plan.buffers[arg.tensor]
            result.append(place(buffer, f"{constness}{c_type} *", arg.tensor))
        elif isinstance(arg, ConstArg):
            result.append(Argument("", -1, 0, f"{prefix}_{arg.role}", ""))
        else:
            result.append(place(plan.buffers[step.scratch], "uint8_t *", "scratch"))
    return tuple(result)


def _shapes(graph: Graph, op: Op) -> str:
    def text(names: tuple[str, ...]) -> str:
        return ", ".join("x".join(map(str, graph.tensor(name).shape)) or "1" for name in names)

    return f"{text(op.inputs)} to {text(op.outputs)}"


def _port(graph: Graph, plan: Plan, banks: dict[str, int], name: str) -> Port:
    tensor, buffer = graph.tensor(name), plan.buffers[name]
    scale, zero_point = (tensor.scale, tensor.zero_point) if tensor.quant else (1.0, 0)
    return Port(
        name=name,
        bank=banks[buffer.bank],
        offset=buffer.offset,
        size_bytes=tensor.size_bytes,
        dtype=DTYPES[tensor.dtype],
        c_type=C_TYPES[tensor.dtype.value],
        external=DTYPES[graph.external_dtype(name)],
        shape=tensor.shape,
        scale=scale,
        zero_point=zero_point,
        elements=tensor.elements,
    )
