"""In which order the operators of a stream segment take their turns: every row as late as a row
that is wanted allows.

A row is computed when one further down needs it, so nothing is computed twice and of each tensor
only the rows under the next window are kept (the row buffer of StreamNet, Zheng et al., NeurIPS
2023, over any graph).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tinyvision.ir.types import Array
from tinyvision.kernels.rows import RowUse

ARRIVAL = -1
"""Stands among turns for the next row of the network's input."""


@dataclass(frozen=True)
class Stage:
    """One operator of a segment: the values it reads (None: a constant) and writes."""

    use: RowUse
    reads: tuple[int | None, ...]
    writes: tuple[int, ...]

    def reads_blocks(self, value: int) -> bool:
        """Whether one call reads the rows of a turn of ``value``."""
        return value in self.reads and self.use.is_aligned

    @cached_property
    def needs(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each turn the values it reads, with the number of their rows that must exist."""
        inputs = [(v, rows) for v, rows in zip(self.reads, self.use.reads, strict=True) if rows]
        return tuple(
            tuple((value, rows[turn][1]) for value, rows in inputs if value is not None)
            for turn in range(self.use.turns)
        )


@dataclass(frozen=True)
class RowJob:
    """A job as a stage of a stream; ``leads``: for each of its reads how far (``Kernel.overlap``)
    an output row must lie below the input row that it may overlap. ``single``: how it runs with one
    row in a turn.
    """

    stage: Stage
    leads: tuple[int | None, ...]
    single: RowUse

    def beginning(self, first: int) -> RowJob:
        """The same with ``first`` rows in the first turn."""
        use = self.stage.use
        if first == (use.first or use.rows):
            return self
        return replace(self, stage=replace(self.stage, use=self.single.several(use.rows, first)))

    @cached_property
    def _last_turns(self) -> dict[int, tuple[Array, ...]]:
        return {}

    def last_turns(self, taken: int) -> tuple[Array, ...]:
        """For each read the last of the first ``taken`` turns that needs each row (-1: none)."""
        if taken not in self._last_turns:
            self._last_turns[taken] = self._found_last_turns(taken)
        return self._last_turns[taken]

    def _found_last_turns(self, taken: int) -> tuple[Array, ...]:
        result = []
        for rows in self.stage.use.reads:
            if rows is None:
                result.append(np.zeros(0, np.int64))
                continue
            last = np.full(max(end for _, end in rows), -1, np.int64)
            for turn, (first, end) in enumerate(rows[:taken]):
                last[first:end] = turn
            result.append(last)
        return tuple(result)


def interleave(
    stages: Sequence[Stage], kept: frozenset[int], arriving: tuple[int, int] | None = None
) -> tuple[int, ...]:
    """The turns in their order: positions in ``stages``, each time its next turn.

    ``kept``: the values that are wanted whole; several advance together, in proportion.
    ``arriving``: a value whose rows come from outside, in turns called ``ARRIVAL``, and how many.
    """
    return _Interleaving(stages, arriving).run(kept)


class _Interleaving:
    def __init__(self, stages: Sequence[Stage], arriving: tuple[int, int] | None) -> None:
        self.stages = stages
        self.producer = {value: k for k, stage in enumerate(stages) for value in stage.writes}
        self.done = [0] * len(stages)
        self.written = [0] * len(stages)
        self.arriving = arriving
        self.arrived = 0
        self.turns: list[int] = []

    def run(self, kept: frozenset[int]) -> tuple[int, ...]:
        sinks = [k for k, stage in enumerate(self.stages) if kept.intersection(stage.writes)]
        if len(sinks) == 1:
            for _ in range(self.stages[sinks[0]].use.turns):
                self._take(sinks[0])
        while sinks := [k for k in sinks if self.done[k] < self.stages[k].use.turns]:
            self._take(min(sinks, key=lambda k: (self.done[k] + 1) / self.stages[k].use.turns))
        if self.arriving is not None:
            self.turns += [ARRIVAL] * (self.arriving[1] - self.arrived)
        return tuple(self.turns)

    def _take(self, stage: int) -> None:
        """The next turn of ``stage``, after all that it needs."""
        for value, rows in self.stages[stage].needs[self.done[stage]]:
            producer = self.producer.get(value)
            if producer is not None:
                while self.written[producer] < rows:
                    self._take(producer)
            elif self.arriving is not None and value == self.arriving[0] and self.arrived < rows:
                self.turns += [ARRIVAL] * (rows - self.arrived)
                self.arrived = rows
        self.done[stage] += 1
        self.written[stage] = self._rows(stage)
        self.turns.append(stage)

    def _rows(self, stage: int) -> int:
        """Rows that ``stage`` has written."""
        use, done = self.stages[stage].use, self.done[stage]
        if use.accumulates:
            return done // use.turns
        return done if use.rows == 1 else use.block(done - 1)[1]
