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
from tinyvision.schedule.row_jobs import RowProblem, numbers_of_pieces, row_problem
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
        self, rows_arrive: bool, limit_bytes: int | None, thrifty: bool = False
    ) -> Plan | None:
        """Ranges of operators row by row, about the fastest within the limit, or with about the
        least memory; None where that fits neither banks nor limit. ``thrifty``: streams may work on
        pieces of rows, or compute rows more than once, where that saves memory.
        """
        streamed = self._found(rows_arrive, thrifty, limit_bytes)
        if streamed is None or (limit_bytes is not None and streamed.peak_bytes > limit_bytes):
            return None
        whole = None
        if streamed.cut.ranges[0].arriving is not None:
            whole = self._found(False, thrifty, limit_bytes) or self._found(False, False, None)
        if whole is not None and whole.peak_bytes <= streamed.peak_bytes:
            taken = [
                cycles(self._search(arrive, thrifty), found)
                for arrive, found in ((False, whole), (True, streamed))
            ]
            if limit_bytes is None or taken[0] <= taken[1]:
                streamed, whole = whole, None
        whole_bytes = whole.peak_bytes if whole is not None else None
        return stream_plan(self.graph, self.board, streamed, self.macs_original, whole_bytes)

    @lru_cache  # noqa: B019
    def _found(self, rows_arrive: bool, thrifty: bool, limit_bytes: int | None) -> Streamed | None:
        capacities = [bank.size_bytes for bank in self.board.banks]
        return stream_schedule(self._search(rows_arrive, thrifty), capacities, limit_bytes)

    @lru_cache  # noqa: B019
    def _search(self, rows_arrive: bool, thrifty: bool) -> Search:
        return Search(self.problem, self._rows(thrifty), self._order, rows_arrive)

    @lru_cache  # noqa: B019
    def _rows(self, thrifty: bool) -> RowProblem:
        pieces = numbers_of_pieces(self.graph) if thrifty else ()
        return row_problem(self.graph, self.problem, self.candidates, self.board, thrifty, pieces)

    @cached_property
    def _order(self) -> tuple[int, ...]:
        return find_order(self.problem)
