"""Plans in which outputs lie over inputs, as close as their kernels allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.support.simple_plan import Choice, fastest, simple_plan
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.plan import BankUse, Plan
from tinyvision.target.core import Core


@dataclass(frozen=True)
class Sharing:
    """The first output over input number ``index``, ``extra`` steps below where it just may."""

    index: int
    extra: int = 0


def overlap_plan(
    graph: Graph, core: Core, sharing: Mapping[str, Sharing], choice: Choice = fastest
) -> Plan:
    """The operators named in ``sharing`` have that input and their first output in one bank, of
    exactly the bytes the two cover; everything else is alone in its bank.

    Their inputs must be inputs of the graph that nobody else reads.
    """
    plan = simple_plan(graph, core, choice)
    ops = {op.name: op for op in graph.ops}
    buffers = dict(plan.buffers)
    banks = {bank.name: bank for bank in plan.banks}
    for step in plan.steps:
        if step.op not in sharing:
            continue
        op, share = ops[step.op], sharing[step.op]
        lead = difference(graph, op, step.kernel, share)
        output, source = buffers[op.outputs[0]], buffers[op.inputs[share.index]]
        output = replace(output, offset=max(0, -lead))
        del banks[source.bank]
        source = replace(source, bank=output.bank, offset=max(0, lead))
        size = max(output.end, source.end)
        banks[output.bank] = BankUse(output.bank, size, size)
        buffers[output.name], buffers[source.name] = output, source
    return replace(plan, buffers=buffers, banks=tuple(banks.values()))


def difference(graph: Graph, op: Op, kernel: Kernel, share: Sharing) -> int:
    """Bytes from the output's begin to the input's, a multiple of the larger element's size."""
    lead = kernel.overlap[share.index]
    assert lead is not None
    involved = (op.inputs[share.index], op.outputs[0])
    align = max(graph.tensor(name).dtype.size_bytes for name in involved)
    aligned = -(-lead // align) * align + share.extra * max(align, kernel.overlap_step)
    assert kernel.may_share(share.index, aligned)
    return aligned
