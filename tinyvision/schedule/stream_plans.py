"""Plans with streams, of one graph on one board, for any limit; what they share is found once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from tinyvision.ir.graph import Graph
from tinyvision.kernels.choose import CandidatesOf
from tinyvision.schedule.assemble import stream_plan
from tinyvision.schedule.order import find_order
from tinyvision.schedule.plan import Plan
from tinyvision.schedule.problem import Problem
from tinyvision.schedule.row_jobs import row_problem
from tinyvision.schedule.segments import Search
from tinyvision.schedule.stream_planner import Streamed, cycles, stream_schedule
from tinyvision.target.board import Board


@dataclass(frozen=True, eq=False)
class StreamPlans:
    """``problem`` is ``graph``'s, ``candidates`` as in ``row_problem``."""

    graph: Graph
    board: Board
    problem: Problem
    candidates: CandidatesOf
    macs_original: int

    def plan(
        self, rows_arrive: bool, limit_bytes: int | None, recompute: bool = False
    ) -> Plan | None:
        """Ranges of operators row by row, about the fastest within the limit, or with about the
        least memory; None where that fits neither banks nor limit. ``recompute``: rows may be
        computed more than once where that saves memory.
        """
        streamed = self._found(rows_arrive, recompute, limit_bytes)
        if streamed is None or (limit_bytes is not None and streamed.peak_bytes > limit_bytes):
            return None
        whole = None
        if streamed.cut.ranges[0].arriving is not None:
            whole = self._found(False, recompute, limit_bytes) or self._found(
                False, recompute, None
            )
        if whole is not None and whole.peak_bytes <= streamed.peak_bytes:
            taken = [
                cycles(self._search(arrive, recompute), found)
                for arrive, found in ((False, whole), (True, streamed))
            ]
            if limit_bytes is None or taken[0] <= taken[1]:
                streamed, whole = whole, None
        whole_bytes = whole.peak_bytes if whole is not None else None
        return stream_plan(self.graph, self.board, streamed, self.macs_original, whole_bytes)

    @lru_cache  # noqa: B019
    def _found(
        self, rows_arrive: bool, recompute: bool, limit_bytes: int | None
    ) -> Streamed | None:
        capacities = [bank.size_bytes for bank in self.board.banks]
        return stream_schedule(self._search(rows_arrive, recompute), capacities, limit_bytes)

    @lru_cache  # noqa: B019
    def _search(self, rows_arrive: bool, recompute: bool) -> Search:
        rows = row_problem(self.graph, self.problem, self.candidates, self.board, recompute)
        return Search(self.problem, rows, self._order, rows_arrive)

    @cached_property
    def _order(self) -> tuple[int, ...]:
        return find_order(self.problem)
