"""Draws graphs of one operator and holds every kernel and every allowed placement to the oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from tests.support.kernel_check import check_plan, merge
from tests.support.op_strategies import STRATEGIES
from tests.support.overlap_plan import Sharing, overlap_plan
from tinyvision.codegen.instances import build
from tinyvision.codegen.instances.instance import ConstArg, ScratchArg
from tinyvision.ir.graph import Graph
from tinyvision.kernels.choose import candidates
from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.plan import Plan
from tinyvision.target import CORES
from tinyvision.target.core import Core

_MOST_BANKS = 255  # of one generated model


@dataclass(frozen=True)
class Case:
    """A graph of one operator, one of its kernels, one placement (None: all buffers apart)."""

    graph: Graph
    kernel: Kernel
    sharing: Sharing | None

    @property
    def buffers(self) -> int:
        (op,) = self.graph.ops
        return len(op.inputs) + len(op.outputs) + 1


def placements(graph: Graph, core: Core, extra: int = 3) -> list[Case]:
    """``graph`` with each kernel of its operator on ``core``: all buffers apart, then the output
    over each input that allows it, as close as may be and ``extra`` steps further below.
    """
    (op,) = graph.ops
    cases: list[Case] = []
    for kernel in candidates(graph, op, core):
        _check_sizes(graph, kernel)
        cases.append(Case(graph, kernel, None))
        for index, lead in enumerate(kernel.overlap):
            if lead is not None and op.inputs.count(op.inputs[index]) == 1:
                cases.append(Case(graph, kernel, Sharing(index)))
                cases.append(Case(graph, kernel, Sharing(index, extra)))
    return cases


def _check_sizes(graph: Graph, kernel: Kernel) -> None:
    """What the kernel says of its constants and scratch is what its instance has."""
    args = build(graph, graph.ops[0], kernel).args
    constants = sum(arg.values.nbytes for arg in args if isinstance(arg, ConstArg))
    assert constants == kernel.flash_bytes, f"{kernel.variant} has {constants} bytes of constants"
    assert any(isinstance(arg, ScratchArg) for arg in args) == (kernel.scratch_bytes > 0)


def check_placements(
    graphs: Sequence[Graph], core: str = "host", check: Callable[[Graph, Plan], None] | None = None
) -> None:
    """All ``placements`` of ``graphs`` against the oracle, by ``check`` or on the host under
    sanitizers.
    """
    cases = [case for graph in graphs for case in placements(graph, CORES[core])]
    while cases:
        count, buffers = 0, 0
        while count < len(cases) and buffers + cases[count].buffers <= _MOST_BANKS:
            buffers += cases[count].buffers
            count += 1
        graph, plan = _together(cases[:count], CORES[core])
        if check is None:
            check_plan(graph, plan, rounds=1)
        else:
            check(graph, plan)
        cases = cases[count:]


def _together(cases: Sequence[Case], core: Core) -> tuple[Graph, Plan]:
    kernels = iter([case.kernel for case in cases])
    graph = merge([case.graph for case in cases])
    sharing = {
        op.name: case.sharing
        for op, case in zip(graph.ops, cases, strict=True)
        if case.sharing is not None
    }
    return graph, overlap_plan(graph, core, sharing, lambda op, offered: next(kernels))


def drawn(strategy: SearchStrategy[Graph], count: int) -> list[Graph]:
    """``count`` examples of ``strategy``, the simplest among them."""
    graphs: list[Graph] = []

    @settings(
        max_examples=count,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(strategy)
    def collect(graph: Graph) -> None:
        graphs.append(graph)

    collect()
    return graphs[:count]


def check_kind(kind: str, *, core: str = "host", count: int = 24) -> None:
    """``check_placements`` of ``count`` drawn graphs of one operator, in one compilation."""
    check_placements(drawn(STRATEGIES[kind], count), core)
