"""Plans of one graph with a patch segment drawn at random instead of searched."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from tinyvision.errors import FitError
from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import macs
from tinyvision.kernels import choose
from tinyvision.kernels.tiles import has_tiles
from tinyvision.schedule.patch_jobs import patch_problem
from tinyvision.schedule.patch_planner import with_patches
from tinyvision.schedule.plan import Plan
from tinyvision.schedule.planner import layer_plan
from tinyvision.schedule.problem import build_problem
from tinyvision.schedule.tiling import tiling
from tinyvision.target.board import Board


def random_patch_plan(graph: Graph, board: Board, rng: np.random.Generator) -> Plan | None:
    """Some operators in the middle of the given order in a random grid, with kernels from fast to
    thrifty; None where there are none with tiles.
    """
    problem = build_problem(
        graph, lambda op: choose.candidates(graph, op, board.core), lambda op: macs(graph, op)
    )
    order = tuple(range(len(graph.ops)))
    firsts = [p for p in order if has_tiles(graph, graph.ops[p])]
    for _ in range(12 if firsts else 0):
        first = int(rng.choice(firsts))
        end = first + 1
        while end < len(order) and end in firsts and rng.random() < 0.85:
            end += 1
        grid = int(rng.integers(1, 5)), int(rng.integers(1, 5))
        tiles = tiling(graph, graph.ops[first:end], grid)
        if tiles is None:
            continue
        patches = patch_problem(graph, problem, order, first, tiles, choose.candidates, board.core)
        planned = layer_plan(graph, board, patches.problem, "patch", 0, None, order)
        if rng.random() < 0.7:
            limit = int(rng.integers(0, 2 * planned.sram_bytes))
            with suppress(FitError):
                planned = layer_plan(graph, board, patches.problem, "patch", 0, limit, order)
        return with_patches(planned, problem, patches)
    return None
