"""The graph as the scheduler sees it: storages, the jobs that read and write them, their sizes.

A storage is memory for one tensor, or for several that are the same bytes (a Reshape's input and
output).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Op, Reshape
from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.place import Clearance
from tinyvision.schedule.plan import ALIGNMENT, align

Candidates = Callable[[Op], tuple[Kernel, ...]]


@dataclass(frozen=True)
class Job:
    """One operator: the storages it reads (None: a constant) and writes, and its kernels, fastest
    first.
    """

    name: str
    reads: tuple[int | None, ...]
    writes: tuple[int, ...]
    kernels: tuple[Kernel, ...]
    macs: int = 0

    @property
    def is_alias(self) -> bool:
        """The output is the input's storage: nothing moves."""
        return bool(self.writes) and self.writes[0] in self.reads

    @cached_property
    def read_storages(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(s for s in self.reads if s is not None))

    def clearance(self, kernel: Kernel, storage: int) -> Clearance | None:
        """How the first output may overlap ``storage``; None where they must be disjoint."""
        reads = [index for index, read in enumerate(self.reads) if read == storage]
        leads = [kernel.overlap[i] if i < len(kernel.overlap) else None for i in reads]
        known = [lead for lead in leads if lead is not None]
        if self.is_alias or len(known) < len(reads):
            return None
        least = align(max(known))
        exact = ALIGNMENT % kernel.overlap_step != 0
        # Leads of a kernel that allows only certain distances may be far below 0, where they would
        # cost as much as they do above: in place is best.
        start = max(least, 0) if exact else least
        for distance in range(start, start + ALIGNMENT * kernel.overlap_step, ALIGNMENT):
            if all(kernel.may_share(index, distance) for index in reads):
                return Clearance(distance, exact)
        return None


@dataclass(frozen=True)
class Patch:
    """The steps ``[first, end)`` of an order run one after another for each tile of what they
    compute; of some tensors there are only the ``held`` rows and columns of one tile.
    ``clearances``: where an output (a storage) may overlap an input that ends with them.
    """

    first: int
    end: int
    held: Mapping[str, tuple[int, int]]
    clearances: Mapping[tuple[int, int], Clearance] = field(default_factory=dict)

    def lifetime(self, first: int, last: int) -> tuple[int, int]:
        """What comes from before is read until the last tile, what goes beyond is written from the
        first one on.
        """
        if first < self.first <= last < self.end:
            last = self.end - 1
        if self.first <= first < self.end <= last:
            first = self.first
        return first, last


@dataclass(frozen=True)
class Problem:
    """``sizes``: aligned bytes of every storage; ``members``: the tensors that live in it.

    ``patch``: None, or which steps of an order run tile by tile.
    """

    jobs: tuple[Job, ...]
    sizes: tuple[int, ...]
    members: tuple[tuple[str, ...], ...]
    inputs: frozenset[int]
    outputs: frozenset[int]
    patch: Patch | None = None

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """The jobs that read each storage."""
        users: list[list[int]] = [[] for _ in self.sizes]
        for index, job in enumerate(self.jobs):
            for storage in job.read_storages:
                users[storage].append(index)
        return tuple(map(tuple, users))

    def lifetimes(self, order: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """First and last step (inclusive) at which each storage holds something, for ``order``.

        -1 for inputs, ``len(order)`` for outputs; what nobody reads lives at the step that writes
        it.
        """
        first, last = [len(order)] * len(self.sizes), [-1] * len(self.sizes)
        for step, job in enumerate(self.jobs[index] for index in order):
            for storage in job.read_storages + job.writes:
                first[storage] = min(first[storage], step)
                last[storage] = max(last[storage], step)
        for storage in self.inputs:
            first[storage] = -1
        for storage in self.outputs:
            last[storage] = len(order)
        spans = zip(first, last, strict=True)
        return tuple(self.patch.lifetime(*span) if self.patch else span for span in spans)

    def saving(self, job: Job, kernel: Kernel, dying: frozenset[int]) -> int:
        """Bytes that the first output can share with the inputs that are ``dying``, at best.

        With the output at 0, an input may start at its clearance at the earliest, and inputs are
        disjoint: earliest start first leaves least outside.
        """
        starts = []
        for storage in job.read_storages:
            if storage in dying and (found := job.clearance(kernel, storage)) is not None:
                starts.append((max(0, found.least_bytes), self.sizes[storage]))
        if not starts:
            return 0
        output = self.sizes[job.writes[0]]
        end = 0
        for least, size in sorted(starts):
            end = max(end, min(least, output)) + size
        return output + sum(size for _, size in starts) - max(output, end)

    def patch_saving(self) -> int:
        """Bytes that one output of the patch can share with one input, at best."""
        savings = [0]
        if self.patch is not None:
            for (output, source), clearance in self.patch.clearances.items():
                end = max(self.sizes[output], max(0, clearance.least_bytes) + self.sizes[source])
                savings.append(self.sizes[output] + self.sizes[source] - end)
        return max(savings)

    def step_bytes(self, job: Job, kernel: Kernel, live: int, dying: frozenset[int]) -> int:
        """Memory that a step needs at least: ``live`` bytes of storages (its own included) less
        what overlaps, and scratch.
        """
        return live - self.saving(job, kernel, dying) + align(kernel.scratch_bytes)


def build_problem(graph: Graph, candidates: Candidates, macs: Callable[[Op], int]) -> Problem:
    """States ``graph`` as storages and jobs; a Reshape's output shares its input's storage."""
    index: dict[str, int] = {}
    members: list[list[str]] = []
    sizes: list[int] = []

    def storage(name: str, alias: int | None = None) -> int:
        if alias is None:
            alias = len(members)
            members.append([])
            sizes.append(align(graph.tensor(name).size_bytes))
        members[alias].append(name)
        index[name] = alias
        return alias

    for name in dict.fromkeys(graph.inputs):
        storage(name)
    jobs = []
    for op in graph.ops:
        reads = tuple(index.get(name) for name in op.inputs)
        shared = reads[0] if isinstance(op, Reshape) else None
        writes = tuple(storage(name, shared) for name in op.outputs)
        jobs.append(Job(op.name, reads, writes, candidates(op), macs(op)))
    return Problem(
        tuple(jobs),
        tuple(sizes),
        tuple(map(tuple, members)),
        frozenset(index[name] for name in graph.inputs),
        frozenset(index[name] for name in graph.outputs),
    )
