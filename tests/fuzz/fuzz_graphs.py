"""Random small graphs, from passes to generated C, against the oracle.

    python -m tests.fuzz.fuzz_graphs --count 1000 --seed 0

A case is determined by the seed and its number: a graph, a core, and how much of the memory that
its best plan needs a second plan may have. The C is compiled for the host under address and
undefined-behaviour sanitizers and run layer by layer; every layer must equal the oracle of the
graph after the passes, the outputs that of the graph before them.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from tests.support.random_cuts import random_cut_plan
from tests.support.random_graphs import random_graph, random_inputs
from tests.support.random_patches import random_patch_plan
from tinyvision.codegen import emit
from tinyvision.device.host import HostModel, HostProgram
from tinyvision.errors import FitError, ModelError
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import graph_macs
from tinyvision.ir.printer import to_text
from tinyvision.ir.types import Array
from tinyvision.passes import pipeline
from tinyvision.schedule import plan
from tinyvision.schedule.plan import Plan
from tinyvision.target import CORES, load_board
from tinyvision.target.board import Board

CORE_NAMES = ("host", "cortex-m0plus", "cortex-m4", "cortex-m7")
BATCH = 16
ROUNDS = 2


@dataclass(frozen=True)
class Case:
    """A graph as drawn and after the passes, and a plan of the latter."""

    number: int
    original: Graph
    optimized: Graph
    plan: Plan
    board: Board

    @property
    def model(self) -> HostModel:
        return HostModel(self.optimized, self.plan, emit(self.optimized, self.plan, self.board))


class Mismatch(AssertionError):
    """Generated code and oracle differ."""


def generator(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng((seed, number))


def cases(seed: int, number: int) -> Iterator[Case]:
    """The plans of graph ``number``: the usual one, where there is one a tighter one, and one each
    with random streams and random patches. None where every output is constant, which the scheduler
    refuses.
    """
    rng = generator(seed, number)
    original = random_graph(rng, int(rng.integers(1, 12)))
    board = replace(load_board("host"), core=CORES[str(rng.choice(CORE_NAMES))])
    optimized = pipeline.run(original)
    macs = graph_macs(original)
    try:
        usual = plan(optimized, board, macs_original=macs)
    except ModelError:
        return
    plans = [usual]
    limit = int(usual.sram_bytes * rng.uniform(0.6, 1.0))
    with suppress(FitError):
        plans.append(plan(optimized, board, macs_original=macs, sram_limit=limit))
    arrive, thrifty = bool(rng.random() < 0.6), bool(rng.random() < 0.3)
    plans.append(random_cut_plan(optimized, board, rng, arrive, thrifty))
    if (patched := random_patch_plan(optimized, board, rng)) is not None:
        plans.append(patched)
    for index, chosen in enumerate(plans):
        named = replace(optimized, name=f"graph{number}_{index}")
        yield Case(number, original, named, chosen, board)


def compare(program: HostProgram, index: int, case: Case, inputs: Sequence[Array]) -> None:
    """Runs model ``index``, which is ``case``, layer by layer; raises Mismatch or ToolError."""
    before = reference.run(case.original, inputs)
    after = reference.run_all(case.optimized, inputs)
    for layer, produced in program.trace(inputs, index):
        step = case.plan.steps[layer]
        for name, got in produced.items():
            _require_equal(got, after[name], f"{name!r} of {step.op!r} by {step.kernel.variant}")
    _compare_outputs(program, index, case, before)
    if case.plan.rows_arrive:
        program.push(inputs, index, at_once=3)
        _compare_outputs(program, index, case, before)


def _compare_outputs(program: HostProgram, index: int, case: Case, before: Sequence[Array]) -> None:
    names = case.original.outputs
    for name, got, expected in zip(names, program.fetch(index), before, strict=True):
        _require_equal(got, expected, f"output {name!r}, which the passes or reading it changed,")


def _require_equal(got: Array, expected: Array, what: str) -> None:
    if got.tobytes() != expected.tobytes():
        wrong = int((got != expected).sum())
        raise Mismatch(f"{what} differs in {wrong} of {got.size} elements")


def check(together: Sequence[Case], seed: int) -> None:
    """Compiles the cases into one program and runs each on some inputs."""
    with HostProgram([case.model for case in together], optimize="-O0", sanitize=True) as program:
        for index, case in enumerate(together):
            rng = generator(seed, case.number + 1_000_000_000)
            for _ in range(ROUNDS):
                compare(program, index, case, random_inputs(case.original, rng))


def fuzz(count: int, seed: int, first: int = 0) -> list[str]:
    """Checks graphs ``first`` to ``first + count``; a description of each that failed."""
    failures: list[str] = []
    waiting: list[Case] = []
    for number in range(first, first + count):
        try:
            waiting += cases(seed, number)
        except Exception:
            failures.append(f"graph {number} (seed {seed}):\n{traceback.format_exc(limit=-4)}")
        if len(waiting) >= BATCH or number == first + count - 1:
            failures += _failures(waiting, seed)
            waiting = []
    return failures


def _failures(together: Sequence[Case], seed: int) -> list[str]:
    """Nothing, or what is wrong with each of the cases that fail on their own."""
    try:
        if together:
            check(together, seed)
        return []
    except Exception as error:
        if len(together) > 1:
            return [text for case in together for text in _failures([case], seed)]
        (case,) = together
        return [
            f"graph {case.number} (seed {seed}), core {case.board.core.name}: {error}\n"
            f"{to_text(case.original)}\nafter the passes:\n{to_text(case.optimized)}"
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.fuzz_graphs", description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first graph")
    options = parser.parse_args(arguments)
    logging.getLogger("tinyvision").setLevel(logging.ERROR)
    start, failed = time.monotonic(), 0
    for first in range(options.first, options.first + options.count, 50):
        count = min(50, options.first + options.count - first)
        for text in fuzz(count, options.seed, first):
            failed += 1
            print(text, flush=True)
        seconds = time.monotonic() - start
        print(
            f"{first + count - options.first} graphs, {failed} failures, {seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
