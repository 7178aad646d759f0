"""Plans of one graph with segments drawn at random instead of searched."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import macs
from tinyvision.kernels import choose
from tinyvision.kernels.rows import ROW, Grain
from tinyvision.schedule.assemble import stream_plan
from tinyvision.schedule.plan import Plan
from tinyvision.schedule.problem import build_problem
from tinyvision.schedule.row_jobs import row_problem
from tinyvision.schedule.segments import Cut, Search
from tinyvision.schedule.stream_planner import place_cut
from tinyvision.schedule.timeline import Range
from tinyvision.target.board import Board

PIECES = (2, 3, 5)


def streams_plan(
    graph: Graph,
    board: Board,
    ends: Sequence[int],
    rows: int = 1,
    rows_arrive: bool = False,
    variant: str = "",
    pieces: int = 1,
) -> Plan:
    """A stream up to each of the operators ``ends``, so many rows in a turn or one of so many
    pieces of a row, with the fastest kernels, of those called ``variant`` where an operator has
    some.
    """
    problem = build_problem(
        graph, lambda op: choose.candidates(graph, op, board.core), lambda op: macs(graph, op)
    )
    found = row_problem(
        graph, problem, choose.candidates, board, pieces=[pieces] if pieces > 1 else ()
    )
    for kernels in found.kernels.values():
        for job, known in kernels.items():
            kernels[job] = tuple(k for k in known if k.variant == variant) or known
    search = Search(problem, found, range(len(graph.ops)), rows_arrive)
    most = sum(bank.size_bytes for bank in board.banks)
    parts = tuple(
        Range(first, end, True, search.arriving(first, end), (), Grain(rows, pieces))
        for first, end in pairwise((0, *ends))
    )
    capacities = [bank.size_bytes for bank in board.banks]
    placed = place_cut(search, Cut(parts, most, 0.0), capacities, most)
    assert placed is not None
    return stream_plan(graph, board, placed, 0, None)


def random_cut_plan(
    graph: Graph,
    board: Board,
    rng: np.random.Generator,
    rows_arrive: bool = False,
    thrifty: bool = False,
) -> Plan:
    """Every operator that can be streamed is in a stream, more likely than not; some streams are
    of one operator, some compute several rows in a turn. With ``thrifty`` some compute their
    input in slices, some work on pieces of rows, and none computes several.
    """
    problem = build_problem(
        graph, lambda op: choose.candidates(graph, op, board.core), lambda op: macs(graph, op)
    )
    rows = row_problem(graph, problem, choose.candidates, board, thrifty, PIECES if thrifty else ())
    search = Search(problem, rows, range(len(graph.ops)), rows_arrive)
    ranges: list[Range] = []
    first = 0
    while first < len(graph.ops):
        end = first + 1
        stream = first in search.stages and rng.random() < 0.8
        while end < len(graph.ops) and rng.random() < 0.8 and (end in search.stages or not stream):
            end += 1
        grains = [g for g in rows.stages if (g.rows == 1 if thrifty else g.pieces == 1)]
        grain = grains[int(rng.choice(len(grains)))]
        narrow = thrifty and rng.random() < 0.5
        if not stream or narrow or not search.stream_bytes(first, end, (), grain):
            grain = ROW
        stream = stream and search.stream_bytes(first, end, (), grain) > 0
        arriving = search.arriving(first, end) if stream else None
        sliced = tuple(
            (position, int(rng.choice(list(search.sliced[position]))))
            for position in search.sliceable(first, end)
            if stream and grain == ROW and rng.random() < 0.5
        )
        ranges.append(Range(first, end, stream, arriving, sliced, grain))
        first = end
    merged: list[Range] = []
    for part in ranges:
        if merged and not merged[-1].stream and not part.stream:
            part = Range(merged.pop().first, part.end, False)
        merged.append(part)
    limit = int(rng.integers(0, sum(problem.sizes) + 1))
    capacities = [bank.size_bytes for bank in board.banks]
    placed = place_cut(search, Cut(tuple(merged), limit, 0.0), capacities, limit)
    assert placed is not None
    return stream_plan(graph, board, placed, 0, None)
