"""From graph and plan to the files of the model's C library."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from tinyvision import __version__
from tinyvision.codegen import self_test
from tinyvision.codegen.functions import Functions, SharedFunctions
from tinyvision.codegen.instances import build
from tinyvision.codegen.instances.instance import C_TYPES, ConstArg, Instance, TensorArg
from tinyvision.codegen.names import c_identifier
from tinyvision.codegen.patches import PatchBuilder, PatchCode
from tinyvision.codegen.picture import picture
from tinyvision.codegen.render import render
from tinyvision.codegen.streams import Stream, StreamBuilder, arrival
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
    """One layer function: a comment, and one call, the turns of a stream, or the tiles of a
    patch.
    """

    index: int
    name: str
    title: str
    shapes: str
    function: str = ""
    arguments: tuple[Argument, ...] = ()
    stream: Stream | None = None
    patch: PatchCode | None = None


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


COMPILED = {"memory": "-O3", "speed": "-O3", "balanced": "-O2", "size": "-Os"}
"""How the library asks to be compiled, by what to optimise for."""
SHARING = ("balanced", "size")
"""Where layers share code that reads their shapes at run time."""


def emit(
    graph: Graph, plan: Plan, board: Board, model_data: bytes = b"", goal: str = "memory"
) -> dict[str, str]:
    """The C library of ``graph`` scheduled by ``plan``: path inside the library to text.

    ``goal``: what to optimise for. ``model_data``: the bytes of the file the graph came from; their
    hash lets a host tell which model a board runs. The same arguments give the same text.
    """
    context = model_context(graph, plan, board)
    model = context["model"]
    functions = Functions()
    layers, constants = _layers(graph, plan, model, functions)
    if goal in SHARING:
        functions = SharedFunctions(functions)
        layers, constants = _layers(graph, plan, model, functions)
    seed, crc = self_test.known_answer(graph)
    context |= {
        "optimization": COMPILED[goal],
        "hash": hashlib.sha256(model_data).digest()[:16],
        "labels": graph.labels,
        "kernels": functions.texts,
        "shapes": functions.shapes,
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
    if context["picture"] is not None:
        files["include/tv_preprocess.h"] = "tv_preprocess.h.j2"
        files[f"include/tv_{model}_preprocess.h"] = "model_preprocess.h.j2"
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
        "arrival": arrival(graph, plan, banks),
        "inputs": [_input(graph, plan, banks, name) for name in graph.inputs],
        "outputs": [_port(graph, plan, banks, name) for name in graph.outputs],
        "picture": picture(graph, plan),
    }


def _bank_numbers(plan: Plan) -> dict[str, int]:
    return {bank.name: index for index, bank in enumerate(plan.banks)}


def _layers(
    graph: Graph, plan: Plan, model: str, functions: Functions
) -> tuple[list[Layer], list[tuple[str, ConstArg]]]:
    """The layers, which call ``functions``, and named constants."""
    banks = _bank_numbers(plan)
    ops = {op.name: op for op in graph.ops}
    layers: list[Layer] = []
    constants: list[tuple[str, ConstArg]] = []
    streams = StreamBuilder(graph, plan, banks, functions.add, constants)
    patches = PatchBuilder(graph, plan, banks, functions.add, constants)
    for index, (first, last) in enumerate(plan.units):
        prefix = f"tv_{model}_l{index:02d}"
        step, segment = plan.steps[first], plan.segment_of(first)
        op = ops[step.op]
        if segment.is_one:
            end = ops[plan.steps[last].op]
            what = "Rows" if segment.is_stream else "Tiles"
            layers.append(
                Layer(
                    index=index,
                    name=plan.unit_name(index),
                    title=f"{what} of {plan.unit_name(index)}",
                    shapes=_shapes(graph, op.inputs, end.outputs),
                    stream=streams.stream(index, segment, prefix) if segment.is_stream else None,
                    patch=patches.patch(index, segment, prefix) if segment.is_patch else None,
                )
            )
            continue
        instance = build(graph, op, step.kernel)
        function = functions.add(step.kernel.template, instance)
        layers.append(
            Layer(
                index=index,
                name=op.name,
                title=f"{op.kind} {op.name}",
                shapes=_shapes(graph, op.inputs, op.outputs),
                function=function.name,
                arguments=(
                    *_arguments(graph, plan, step, op, instance, banks, prefix),
                    *(Argument("", -1, 0, further, "") for further in function.further),
                ),
            )
        )
        constants += [
            (f"{prefix}_{arg.role}", arg) for arg in instance.args if isinstance(arg, ConstArg)
        ]
    return layers, constants


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


def _shapes(graph: Graph, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> str:
    def text(names: tuple[str, ...]) -> str:
        return ", ".join("x".join(map(str, graph.tensor(name).shape)) or "1" for name in names)

    return f"{text(inputs)} to {text(outputs)}"


def _input(graph: Graph, plan: Plan, banks: dict[str, int], name: str) -> Port:
    """An input; one that comes in rows has a bank of its own for who has all of it at once."""
    port = _port(graph, plan, banks, name)
    return replace(port, bank=len(banks), offset=0) if plan.rows_arrive else port


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
