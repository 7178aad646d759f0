"""From a graph and a board to a plan: order, kernels, banks, offsets."""

from __future__ import annotations

import logging
from dataclasses import replace

from tinyvision.errors import FitError, ModelError, UserError
from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import macs as op_macs
from tinyvision.kernels import choose
from tinyvision.kernels.choose import CandidatesOf
from tinyvision.schedule.advice import explain_flash, explain_latency, explain_ram
from tinyvision.schedule.banks import Assignment, assign
from tinyvision.schedule.costs import estimate
from tinyvision.schedule.flash import KERNEL_CODE_BYTES, within_flash
from tinyvision.schedule.front import fastest_small, front
from tinyvision.schedule.order import find_order, peak_bytes
from tinyvision.schedule.patch_jobs import tile_bytes
from tinyvision.schedule.patch_planner import Place, patch_plan
from tinyvision.schedule.plan import BankUse, Buffer, Plan, Segment, Step
from tinyvision.schedule.problem import Problem, build_problem
from tinyvision.schedule.select import Schedule, Selection, select
from tinyvision.schedule.stream_plans import StreamPlans
from tinyvision.target.board import Board

log = logging.getLogger(__name__)

STREAM_CODE_BYTES = 384
"""Code that an operator of a stream takes beside its kernel, turns included, at most."""
SCHEDULES = ("auto", "layer", "stream", "patch")


def plan(
    graph: Graph,
    board: Board,
    *,
    macs_original: int,
    candidates: CandidatesOf = choose.candidates,
    schedule: str = "auto",
    sram_limit: int | None = None,
    rows_arrive: bool = False,
    patches: tuple[int, int] | None = None,
    latency_ms: float | None = None,
) -> Plan:
    """Schedules ``graph`` for ``board``: operators one after another (``layer``), ranges of them
    row by row where that saves memory (``stream``), the first ones for one tile of their output
    after the other (``patch``, with ``patches`` in a grid of so many rows and columns), or streams
    only where layers do not fit (``auto``). With ``rows_arrive`` a stream may take the network's
    input row by row (with ``auto`` only where a whole input does not fit).

    Kernels are the fastest with which the peak of RAM stays close to the least found; with
    ``sram_limit`` (bytes over all banks) the fastest within it. Those with large constants are
    left out where flash is short. The order of operators is the graph's unless another needs
    less. Everything lies in the first bank if it fits there.
    Within a limit that streams do not keep otherwise they work on pieces of rows, or compute rows
    more than once.
    ``latency_ms``: instead, the smallest plan of any kind that is estimated to be so fast.
    Raises FitError where RAM, flash or time do not suffice.
    """
    if schedule not in SCHEDULES:
        raise UserError(
            f"no schedule is called {schedule!r}", hint=f"Take {' or '.join(SCHEDULES)}."
        )
    for name in graph.outputs:
        if graph.tensor(name).is_constant:
            raise ModelError(
                f"output {name!r} is a constant", graph.name, "it does not depend on any input"
            )
    problem = build_problem(
        graph,
        lambda op: candidates(graph, op, board.core),
        lambda op: op_macs(graph, op),
    )

    streams = _streams(graph, board, problem, candidates, macs_original)

    def streamed(rows: bool) -> Plan | None:
        plain = streams.plan(rows, sram_limit)
        return plain if plain is not None else streams.plan(rows, sram_limit, thrifty=True)

    if latency_ms is not None:
        plans = pareto_front(
            graph,
            board,
            macs_original=macs_original,
            candidates=candidates,
            rows_arrive=rows_arrive,
        )
        found = fastest_small(plans, latency_ms)
        if found is None:
            raise explain_latency(plans[0], board, latency_ms)
        return found
    planned = streamed(rows_arrive) if schedule == "stream" else None
    if schedule == "patch":
        place = _placing(graph, board, macs_original, sram_limit)
        planned = patch_plan(graph, board.core, problem, candidates, place, sram_limit, patches)
    if planned is None:
        layers = within_flash(problem, board.flash_bytes)
        try:
            planned = layer_plan(graph, board, layers, schedule, macs_original, sram_limit)
        except FitError:
            if schedule == "auto":
                planned = streamed(False) or (streamed(True) if rows_arrive else None)
            if planned is None:
                raise
    if planned.flash_bytes > board.flash_bytes:
        raise explain_flash(planned, board)
    return _estimated(graph, board, planned)


def pareto_front(
    graph: Graph,
    board: Board,
    *,
    macs_original: int,
    candidates: CandidatesOf = choose.candidates,
    rows_arrive: bool = False,
) -> tuple[Plan, ...]:
    """Plans from the fastest to the smallest, none better than another in memory and estimated
    cycles; FitError where none fits the board.
    """
    problem = build_problem(
        graph, lambda op: candidates(graph, op, board.core), lambda op: op_macs(graph, op)
    )
    layers = within_flash(problem, board.flash_bytes)
    streams = _streams(graph, board, problem, candidates, macs_original)

    def layered() -> Plan:
        found = layer_plan(graph, board, layers, "layer", macs_original, None)
        return _estimated(graph, board, found)

    def streamed(limit_bytes: int | None, thrifty: bool) -> Plan | None:
        found = streams.plan(rows_arrive, limit_bytes, thrifty)
        return None if found is None else _estimated(graph, board, found)

    def patched(limit_bytes: int | None) -> Plan | None:
        place = _placing(graph, board, macs_original, limit_bytes)
        found = patch_plan(graph, board.core, problem, candidates, place, limit_bytes)
        return None if found is None else _estimated(graph, board, found)

    plans = front(layered, streamed, patched)
    if plans[0].flash_bytes > board.flash_bytes:
        raise explain_flash(plans[0], board)
    return plans


def _placing(graph: Graph, board: Board, macs_original: int, sram_limit: int | None) -> Place:
    """How the patch planner has its problems placed."""

    def place(tiled: Problem, order: tuple[int, ...], instances: int) -> Plan:
        lean = within_flash(tiled, board.flash_bytes - KERNEL_CODE_BYTES * instances)
        return layer_plan(graph, board, lean, "patch", macs_original, sram_limit, order)

    return place


def _streams(
    graph: Graph, board: Board, problem: Problem, candidates: CandidatesOf, macs_original: int
) -> StreamPlans:
    # Every step of a stream has a function of its own around the kernel's.
    room = board.flash_bytes - STREAM_CODE_BYTES * len(graph.ops)
    return StreamPlans(graph, board, within_flash(problem, room), candidates, macs_original)


def _estimated(graph: Graph, board: Board, planned: Plan) -> Plan:
    cycles = estimate(graph, planned, board)
    return replace(planned, step_cycles=cycles, clock_mhz=board.clock_mhz)


def layer_plan(
    graph: Graph,
    board: Board,
    problem: Problem,
    schedule: str,
    macs_original: int,
    sram_limit: int | None,
    order: tuple[int, ...] | None = None,
) -> Plan:
    """One operator after another, in the best order or the given one; FitError where RAM does not
    suffice.
    """

    def chosen(limit_bytes: int | None) -> Selection:
        return select(problem, order, limit_bytes) if order else _select(problem, limit_bytes)

    selection = chosen(sram_limit)
    capacities = [bank.size_bytes for bank in board.banks]
    assignment = assign(selection, capacities)
    if assignment is None:
        selection = chosen(0)
        assignment = assign(selection, capacities)
    if assignment is None:
        raise explain_ram(graph, board, selection, None)
    planned = _assemble(graph, board, schedule, selection, assignment, macs_original)
    if sram_limit is not None and planned.sram_bytes > sram_limit:
        raise explain_ram(graph, board, selection, sram_limit)
    log.info(
        "%s on %s: %d bytes of RAM, no layout of these steps has less than %d",
        graph.name,
        board.name,
        planned.sram_bytes,
        selection.bound_bytes,
    )
    return planned


def _select(problem: Problem, sram_limit: int | None) -> Selection:
    """Kernels and layout for the best order; the given order where another brings nothing."""
    given = tuple(range(len(problem.jobs)))
    found = find_order(problem)
    best = select(problem, found, sram_limit)
    if found != given and peak_bytes(problem, given) <= best.layout.peak_bytes:
        other = select(problem, given, sram_limit)
        if other.layout.peak_bytes <= best.layout.peak_bytes:
            best = other
    return best


def _assemble(
    graph: Graph,
    board: Board,
    kind: str,
    selection: Selection,
    assignment: Assignment,
    macs_original: int,
) -> Plan:
    scheduled = selection.schedule
    steps = _steps(graph, scheduled)
    buffers = _buffers(graph, board, scheduled, assignment, steps)
    used = {bank.name: 0 for bank in board.banks}
    for buffer in buffers.values():
        used[buffer.bank] = max(used[buffer.bank], buffer.end)
    executed = sum(step.macs for step in steps)
    peak = max(scheduled.step_bytes, default=0)
    segments = (Segment("layer", 0, len(steps) - 1, peak),) if steps else ()
    return Plan(
        model=graph.name,
        board=board.name,
        schedule=kind,
        steps=steps,
        buffers=buffers,
        segments=segments,
        banks=tuple(BankUse(b.name, used[b.name], b.size_bytes) for b in board.banks),
        macs=macs_original,
        macs_executed=executed,
        flash_bytes=sum(step.kernel.flash_bytes for step in steps),
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


def _steps(graph: Graph, scheduled: Schedule) -> tuple[Step, ...]:
    taken = set(graph.tensors)
    steps = []
    for index, kernel in zip(scheduled.order, scheduled.kernels, strict=True):
        op = graph.ops[index]
        scratch = ""
        if kernel.scratch_bytes:
            scratch = f"{op.name}.scratch"
            while scratch in taken:
                scratch += "_"
            taken.add(scratch)
        inputs = tuple(name for name in op.inputs if not graph.tensor(name).is_constant)
        macs = scheduled.problem.jobs[index].macs
        steps.append(Step(op.name, kernel, macs, scratch, op.kind, inputs, op.outputs))
    return tuple(steps)


def _buffers(
    graph: Graph,
    board: Board,
    scheduled: Schedule,
    assignment: Assignment,
    steps: tuple[Step, ...],
) -> dict[str, Buffer]:
    """Every tensor's buffer with its own lifetime, in the order of their first steps."""
    first = dict.fromkeys(graph.inputs, -1)
    last = dict(first)
    for index, step in enumerate(steps):
        for name in step.outputs:
            first[name] = last[name] = index
        for name in step.inputs:
            last[name] = index
    for name in graph.outputs:
        last[name] = len(steps)

    def place(item: int) -> tuple[str, int]:
        return board.banks[assignment.banks[item]].name, assignment.offsets[item]

    patch = scheduled.problem.patch
    item_of = {name: i for i, names in enumerate(scheduled.problem.members) for name in names}
    buffers = []
    for name in first:
        tensor = graph.tensor(name)
        bank, offset = place(item_of[name])
        begin, end = first[name], last[name]
        size_bytes, tile = tensor.size_bytes, (0, 0)
        if patch is not None:
            begin, end = patch.lifetime(begin, end)
            tile = patch.held.get(name, tile)
            size_bytes = tile_bytes(tensor, tile) if name in patch.held else size_bytes
        shape, dtype = tensor.shape, tensor.dtype
        buffers.append(
            Buffer(name, bank, offset, size_bytes, begin, end, shape=shape, dtype=dtype, tile=tile)
        )
    for item, index in enumerate(scheduled.scratches, len(scheduled.problem.sizes)):
        bank, offset = place(item)
        size = steps[index].kernel.scratch_bytes
        buffers.append(Buffer(steps[index].scratch, bank, offset, size, index, index, True))
    buffers.sort(key=lambda b: (b.first_step, b.is_scratch))
    return {buffer.name: buffer for buffer in buffers}
