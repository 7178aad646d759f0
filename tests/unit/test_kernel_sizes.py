"""What a kernel declares before any C is written is what its instance then has."""

from __future__ import annotations

import pytest

from tests.support.conv_cases import FAMILIES
from tests.support.family_check import drawn
from tests.support.op_strategies import STRATEGIES
from tinyvision.codegen.instances import BUILDERS, build
from tinyvision.codegen.instances.instance import ConstArg, ScratchArg
from tinyvision.ir.graph import Graph
from tinyvision.kernels.choose import FAMILIES as KINDS
from tinyvision.kernels.choose import candidates
from tinyvision.target import CORES


def graphs(kind: str) -> list[Graph]:
    return drawn(FAMILIES[kind] if kind in FAMILIES else STRATEGIES[kind], 25)


def test_every_kind_that_has_kernels_has_a_builder() -> None:
    assert KINDS.keys() == BUILDERS.keys()


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize(
    "kind", [*FAMILIES, *(k.__name__ for k in KINDS if k.__name__ in STRATEGIES)]
)
def test_flash_and_scratch_are_exact(kind: str, core: str) -> None:
    for graph in graphs(kind):
        (op,) = graph.ops
        for kernel in candidates(graph, op, CORES[core]):
            instance = build(graph, op, kernel)
            constants = [arg.values for arg in instance.args if isinstance(arg, ConstArg)]
            assert kernel.flash_bytes == sum(c.nbytes for c in constants), kernel.variant
            scratch = any(isinstance(arg, ScratchArg) for arg in instance.args)
            assert scratch == (kernel.scratch_bytes > 0), kernel.variant
            assert kernel.scratch_bytes % 8 == 0
