"""Holds kernels equal to the oracle: many one-operator graphs, one compilation, sanitizers on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tests.support.simple_plan import Choice, fastest, simple_plan
from tinyvision.codegen import emit
from tinyvision.device.host import HostModel, HostProgram
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array, Tensor
from tinyvision.target import CORES, load_board
from tinyvision.target.core import Core


def merge(graphs: Sequence[Graph], name: str = "cases") -> Graph:
    """One graph that computes all of ``graphs`` side by side; names get the prefix ``gN_``."""
    tensors, ops, inputs, outputs = {}, [], [], []
    for index, graph in enumerate(graphs):

        def renamed(names: Sequence[str], prefix: str = f"g{index}_") -> tuple[str, ...]:
            return tuple(prefix + name for name in names)

        for tensor in graph.tensors.values():
            (new,) = renamed([tensor.name])
            tensors[new] = replace(tensor, name=new)
        for op in graph.ops:
            (new,) = renamed([op.name])
            ops.append(
                replace(op, name=new, inputs=renamed(op.inputs), outputs=renamed(op.outputs))
            )
        inputs += renamed(graph.inputs)
        outputs += renamed(graph.outputs)
    return Graph(name, tensors, tuple(ops), tuple(inputs), tuple(outputs))


def random_array(tensor: Tensor, rng: np.random.Generator) -> Array:
    """Values over the whole range of the type, its extremes often among them."""
    info = np.iinfo(tensor.dtype.numpy)
    values = rng.integers(info.min, info.max, tensor.shape, tensor.dtype.numpy, endpoint=True)
    extreme = rng.random(tensor.shape)
    values[extreme < 0.05] = info.min
    values[extreme > 0.95] = info.max
    return values


def check_graphs(
    graphs: Sequence[Graph],
    core: Core | str,
    *,
    choice: Choice = fastest,
    seed: int = 0,
    rounds: int = 2,
    sanitize: bool = True,
    flags: Sequence[str] = (),
) -> None:
    """Compiles ``graphs`` (each operator a kernel of ``core`` by ``choice``) for the host and
    compares every tensor they compute with the oracle, on ``rounds`` random inputs.

    Every buffer is an allocation of its own, so a sanitizer sees each access outside it.
    """
    if isinstance(core, str):
        core = CORES[core]
    graph = merge(graphs)
    plan = simple_plan(graph, core, choice)
    files = emit(graph, plan, load_board("host"))
    rng = np.random.default_rng(seed)
    with HostProgram([HostModel(graph, plan, files)], sanitize=sanitize, flags=flags) as program:
        for _ in range(rounds):
            feeds = [random_array(graph.tensor(name), rng) for name in graph.inputs]
            expected = reference.run_all(graph, feeds)
            for index, produced in program.trace(feeds):
                step = plan.steps[index]
                for name, got in produced.items():
                    np.testing.assert_array_equal(
                        got,
                        expected[name],
                        err_msg=f"{step.op} by {step.kernel.variant} ({core.name}): {name}",
                    )
