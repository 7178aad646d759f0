"""Compares what a target computes with the oracle, bit for bit, and finds where they part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tinyvision.device.link import NoAnswer
from tinyvision.device.oracle import Oracle
from tinyvision.device.samples import Samples
from tinyvision.device.target import Target, TargetKind
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array
from tinyvision.schedule.plan import Plan


@dataclass(frozen=True)
class VerifyResult:
    """``values``: outputs compared over all samples, ``mismatches`` of them differ.

    ``first_divergent_layer``: the operator (of the graph after the passes) whose output in memory
    is the first to differ, for the first sample that does; None where nothing differs, or where
    every layer is right and only what is read at the end is not (``note`` says so).
    """

    samples: int
    values: int
    mismatches: int
    max_abs_diff: float
    first_divergent_layer: str | None
    target: TargetKind
    oracle: str
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "values": self.values,
            "mismatches": self.mismatches,
            "max_abs_diff": self.max_abs_diff,
            "first_divergent_layer": self.first_divergent_layer,
            "target": self.target,
            "oracle": self.oracle,
            "note": self.note,
        }


class Observer(Protocol):
    """Watches a target from layer to layer."""

    def begin(self) -> None:
        """An inference begins; its inputs come next."""

    def enter(self, layer: int) -> None:
        """A layer is about to run."""

    def leave(self) -> None:
        """It has run."""


def verify(
    graph: Graph,
    plan: Plan,
    target: Target,
    samples: Samples,
    oracle: Oracle,
    progress: Callable[[int], None] = lambda samples_done: None,
    observer: Observer | None = None,
) -> VerifyResult:
    """Runs every sample on ``target``. ``graph`` is the one that ``plan`` schedules (after the
    passes); the samples' own expectations go before ``oracle``. With an ``observer``, layer by
    layer.
    """
    mismatches = values = 0
    largest = 0.0
    divergent: Sequence[Array] | None = None
    for number, inputs in enumerate(samples.inputs):
        progress(number)
        want = samples.expected[number] if samples.expected else oracle.run(inputs)
        if observer is None:
            got = infer(target, inputs)
        else:
            got = _infer_observed(target, inputs, len(plan.units), observer)
        for expected, actual in zip(want, got, strict=True):
            count, difference = compare(expected, actual)
            values += expected.size
            mismatches += count
            largest = max(largest, difference)
            if count and divergent is None:
                divergent = inputs
    layer, note = None, ""
    if divergent is not None:
        layer = first_divergent_layer(graph, plan, target, divergent)
        if layer is None:
            note = "every layer's output in memory equals ir.reference"
    return VerifyResult(
        samples=len(samples.inputs),
        values=values,
        mismatches=mismatches,
        max_abs_diff=largest,
        first_divergent_layer=layer,
        target=target.kind,
        oracle="file" if samples.expected else oracle.name,
        note=note,
    )


def infer(target: Target, inputs: Sequence[Array], attempts: int = 2) -> list[Array]:
    """One whole inference; started over where an answer got lost on the line."""
    for _ in range(attempts - 1):
        try:
            target.feed(inputs)
            target.run()
            return target.fetch()
        except NoAnswer:
            continue
    target.feed(inputs)
    target.run()
    return target.fetch()


def _infer_observed(
    target: Target, inputs: Sequence[Array], layers: int, observer: Observer
) -> list[Array]:
    observer.begin()
    target.feed(inputs)
    for layer in range(layers):
        observer.enter(layer)
        target.run(layer, 1)
        observer.leave()
    return target.fetch()


def compare(expected: Array, actual: Array) -> tuple[int, float]:
    """How many values differ, and by how much at most. Two NaNs are equal."""
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        raise ValueError(
            f"{actual.dtype}{actual.shape} cannot be compared with {expected.dtype}{expected.shape}"
        )
    same = expected == actual
    if expected.dtype.kind == "f":
        same |= np.isnan(expected) & np.isnan(actual)
    if same.all():
        return 0, 0.0
    difference = np.abs(expected[~same].astype(np.float64) - actual[~same].astype(np.float64))
    largest = float(np.max(difference))
    return int(np.count_nonzero(~same)), largest if np.isfinite(largest) else float("inf")


def first_divergent_layer(
    graph: Graph, plan: Plan, target: Target, inputs: Sequence[Array]
) -> str | None:
    """Runs layer by layer and compares each output where the plan places it (of a stream those
    that are left when it is done); the name of the first operator whose output differs from
    ``ir.reference``'s.
    """
    want = reference.run_all(graph, list(inputs))
    banks = [bank.name for bank in plan.banks]
    producers = graph.producers()
    target.feed(inputs)
    for index in range(len(plan.units)):
        target.run(index, 1)
        for name in plan.results(graph, index):
            buffer = plan.buffers.get(name)
            if buffer is None:  # an output that nobody reads
                continue
            tensor = graph.tensor(name)
            data = target.read_memory(banks.index(buffer.bank), buffer.offset, tensor.size_bytes)
            got = np.frombuffer(data, tensor.dtype.numpy.newbyteorder("<")).reshape(tensor.shape)
            if compare(want[name], got.astype(tensor.dtype.numpy))[0]:
                return producers[name].name
    return None
