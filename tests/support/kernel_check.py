"""Holds kernels equal to the oracle: many one-operator graphs, one compilation, sanitizers on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from tests.support.simple_plan import Choice, fastest, simple_plan
from tinyvision.codegen import emit
from tinyvision.device.host import HostModel, HostProgram
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array, DType, Tensor
from tinyvision.schedule.plan import Plan
from tinyvision.target import CORES, load_board
from tinyvision.target.core import Core

Trace = Callable[[Sequence[Array]], Iterator[tuple[int, dict[str, Array]]]]


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
    """Values over the whole range of the type, its extremes often among them; of floats some that
    are halfway between two integers and some that are none.
    """
    if tensor.dtype is DType.FLOAT32:
        return _random_floats(tensor.shape, rng)
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
    goal: str = "memory",
) -> None:
    """Compiles ``graphs`` (each operator a kernel of ``core`` by ``choice``) for the host and
    compares every tensor they compute with the oracle, on ``rounds`` random inputs.

    Every buffer is an allocation of its own, so a sanitizer sees each access outside it.
    """
    if isinstance(core, str):
        core = CORES[core]
    graph = merge(graphs)
    plan = simple_plan(graph, core, choice)
    check_plan(graph, plan, seed=seed, rounds=rounds, sanitize=sanitize, flags=flags, goal=goal)


def check_plan(
    graph: Graph,
    plan: Plan,
    *,
    seed: int = 0,
    rounds: int = 2,
    sanitize: bool = True,
    flags: Sequence[str] = (),
    goal: str = "memory",
) -> None:
    """The same for a graph and a plan of the caller's."""
    files = emit(graph, plan, load_board("host"), goal=goal)
    with HostProgram(
        [HostModel(graph, plan, files)], optimize="-O0", sanitize=sanitize, flags=flags
    ) as program:
        compare(graph, plan, program.trace, seed=seed, rounds=rounds)


def compare(graph: Graph, plan: Plan, trace: Trace, *, seed: int = 0, rounds: int = 1) -> None:
    """Holds every tensor that ``trace`` yields to the oracle, on ``rounds`` random inputs."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        feeds = [random_array(graph.tensor(name), rng) for name in graph.inputs]
        expected = reference.run_all(graph, feeds)
        for index, produced in trace(feeds):
            step = plan.steps[index]
            for name, got in produced.items():
                what = f"{step.op} by {step.kernel.variant}: {name}"
                np.testing.assert_array_equal(got, expected[name], err_msg=what)


def _random_floats(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    values = (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(np.float32)
    kind = rng.random(shape)
    values[kind < 0.3] = np.round(values[kind < 0.3] * 2) / 2
    for limit, special in ((0.97, np.nan), (0.98, np.inf), (0.99, -np.inf)):
        values[kind > limit] = special
    return values
