"""What passes share: applying a rule everywhere, replacing, bypassing and renaming."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op
from tinyvision.ir.types import Tensor

Rule = Callable[[Graph, Op], Graph | None]


def apply_everywhere(graph: Graph, *rules: Rule) -> Graph:
    """Rewrites operators by the first rule that accepts one, until none accepts any.

    A rule returns the new graph, or None where it does not apply. The graph itself comes back
    where nothing applies at all.
    """
    changed = True
    while changed:
        changed = False
        position = 0
        while position < len(graph.ops):
            op = graph.ops[position]
            rewritten = next((new for rule in rules if (new := rule(graph, op))), None)
            if rewritten is None:
                position += 1
            else:
                graph, changed = rewritten, True
    return graph


def fresh_name(names: Iterable[str], hint: str) -> str:
    """``hint``, or that with the first number that makes it different from all ``names``."""
    taken = set(names)
    if hint not in taken:
        return hint
    number = 1
    while f"{hint}_{number}" in taken:
        number += 1
    return f"{hint}_{number}"


def replace_op(graph: Graph, op: Op, *new: Op, tensors: Iterable[Tensor] = ()) -> Graph:
    """``new`` in place of ``op``; ``tensors`` are added, or replace those of their name."""
    pool = {**graph.tensors, **{tensor.name: tensor for tensor in tensors}}
    ops: list[Op] = []
    for other in graph.ops:
        ops.extend(new if other is op else (other,))
    return graph.with_ops(tuple(ops), pool)


def only_consumer(graph: Graph, name: str) -> Op | None:
    """The one operator that reads ``name``; None where several do, or it is a graph output."""
    consumers = graph.consumers()[name]
    return consumers[0] if len(consumers) == 1 and name not in graph.outputs else None


def bypass(graph: Graph, op: Op, source: str | None = None) -> Graph | None:
    """``graph`` without ``op``, whose only output equals ``source`` (its first input unless given).

    A graph output keeps its name: then the source takes it over, which it can where an operator
    computes it and it is not an output itself. None where it cannot.
    """
    source = op.inputs[0] if source is None else source
    (result,) = op.outputs
    rest = tuple(other for other in graph.ops if other is not op)
    if result not in graph.outputs:
        return rename(graph.with_ops(rest), {result: source})
    if source in graph.outputs or source not in graph.producers():
        return None
    return rename(_without(graph, rest, result), {source: result})


def _without(graph: Graph, ops: tuple[Op, ...], name: str) -> Graph:
    tensors = {other: tensor for other, tensor in graph.tensors.items() if other != name}
    return replace(graph, ops=ops, tensors=tensors)


def rename(graph: Graph, names: Mapping[str, str]) -> Graph:
    """Every mention of the keys of ``names`` becomes their value; tensors follow unless the value
    is a tensor already.
    """

    def new(name: str) -> str:
        return names.get(name, name)

    tensors = {name: tensor for name, tensor in graph.tensors.items() if name not in names}
    for old, name in names.items():
        if name not in tensors and old in graph.tensors:
            tensors[name] = replace(graph.tensors[old], name=name)
    return replace(
        graph,
        tensors=tensors,
        ops=tuple(
            replace(
                op,
                inputs=tuple(new(name) for name in op.inputs),
                outputs=tuple(new(name) for name in op.outputs),
            )
            if not names.keys().isdisjoint(op.inputs + op.outputs)
            else op
            for op in graph.ops
        ),
        inputs=tuple(new(name) for name in graph.inputs),
        outputs=tuple(new(name) for name in graph.outputs),
        interface={new(name): dtype for name, dtype in graph.interface.items()},
    )
