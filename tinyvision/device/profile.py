"""Time and memory of a model on a board, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tinyvision.device.serial_target import SerialTarget
from tinyvision.errors import DeviceError
from tinyvision.ir.types import Array
from tinyvision.schedule.plan import Plan


@dataclass(frozen=True)
class LayerCost:
    """What a virtual board knows of a layer. ``stalls``: cycles in which nothing was issued, by
    cause; None where no cycle model runs.
    """

    cycles: int
    instructions: int
    stalls: Mapping[str, int] | None = None


@dataclass(frozen=True)
class LayerProfile:
    """One layer; ``instructions`` is None where they are not counted, ``share`` is of the time,
    ``stalls`` as in ``LayerCost``.
    """

    name: str
    op: str
    kernel: str
    cycles: int
    instructions: int | None
    macs: int
    share: float
    stalls: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Profile:
    """``source``: measured on hardware or modelled by a virtual board; ``basis``: what a cycle is.

    ``macs_per_cycle_limit``: what the core could do at most, None where that is not known.
    ``sram_peak_bytes``: bytes of the model's memory that were written to, by words;
    ``stack_peak_bytes``: of the whole firmware.
    """

    source: Literal["measured", "modelled"]
    basis: str
    clock_mhz: float
    macs: int
    layers: tuple[LayerProfile, ...]
    sram_peak_bytes: int
    stack_peak_bytes: int
    macs_per_cycle_limit: float | None = None

    @property
    def cycles(self) -> int:
        return sum(layer.cycles for layer in self.layers)

    @property
    def instructions(self) -> int | None:
        counts = [layer.instructions for layer in self.layers]
        return None if None in counts else sum(filter(None, counts))

    @property
    def stalls(self) -> dict[str, int] | None:
        """Of all layers."""
        known = [layer.stalls for layer in self.layers if layer.stalls is not None]
        if not known:
            return None
        return {cause: sum(stalls[cause] for stalls in known) for cause in known[0]}

    @property
    def latency_ms(self) -> float:
        return self.cycles / self.clock_mhz / 1000

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "basis": self.basis,
            "cycles": self.cycles,
            "instructions": self.instructions,
            "stalls": self.stalls,
            "clock_mhz": self.clock_mhz,
            "latency_ms": self.latency_ms,
            "macs": self.macs,
            "macs_per_cycle": self.macs / self.cycles if self.cycles else 0.0,
            "macs_per_cycle_limit": self.macs_per_cycle_limit,
            "sram_peak_bytes": self.sram_peak_bytes,
            "stack_peak_bytes": self.stack_peak_bytes,
            "layers": [
                {
                    "name": layer.name,
                    "op": layer.op,
                    "kernel": layer.kernel,
                    "cycles": layer.cycles,
                    "instructions": layer.instructions,
                    "macs": layer.macs,
                    "share": layer.share,
                    "stalls": layer.stalls,
                }
                for layer in self.layers
            ],
        }


class Twin(Protocol):
    """What a virtual board adds to what its firmware tells."""

    basis: str
    """What one cycle of the firmware's counter stands for."""

    def layer_costs(self, cycles: Sequence[int]) -> list[LayerCost]:
        """Of the layers just profiled, whose ``cycles`` the firmware gave."""


def _layer(plan: Plan, index: int, cost: LayerCost, share: float, counted: bool) -> LayerProfile:
    """``counted``: whether instructions are known."""
    steps = plan.steps[plan.units[index][0] : plan.units[index][1] + 1]
    kind, kernel = steps[0].kind, steps[0].kernel.variant or steps[0].kernel.template
    macs = sum(step.macs for step in steps)
    segment = plan.segment_of(plan.units[index][0])
    if segment.is_one:
        kind, kernel = segment.kind.title(), segment.kind
        macs = segment.macs_executed or macs
    instructions = cost.instructions if counted else None
    name = plan.unit_name(index)
    return LayerProfile(name, kind, kernel, cost.cycles, instructions, macs, share, cost.stalls)


def profile(
    plan: Plan,
    target: SerialTarget,
    inputs: Sequence[Array],
    twin: Twin | None = None,
    progress: Callable[[int], None] = lambda layers_done: None,
) -> Profile:
    """Runs the model once on ``inputs``, taking the time of every layer.

    DeviceError where the board has no cycle counter, runs something else than ``plan``, or wrote
    outside of the model's memory.
    """
    identity = target.identity
    if not identity.has_cycle_counter:
        raise DeviceError("the board has no cycle counter", identity.board)
    if identity.layers != len(plan.units):
        raise DeviceError(
            f"the board's model has {identity.layers} layers, the plan {len(plan.units)}",
            identity.board,
            hint="Build and flash again with the options used here.",
        )
    target.paint()
    target.feed(inputs)
    cycles = target.profile(progress)
    modelled = twin.layer_costs(cycles) if twin is not None else None
    memory = target.memory()
    if memory.damaged_guards:
        banks = ", ".join(plan.banks[i].name for i in memory.damaged_guards if i < len(plan.banks))
        raise DeviceError("the model wrote outside its memory", identity.board, f"bank {banks}")
    costs = modelled or [LayerCost(count, 0) for count in cycles]
    total = sum(cost.cycles for cost in costs) or 1
    layers = tuple(
        _layer(plan, index, cost, cost.cycles / total, modelled is not None)
        for index, cost in enumerate(costs)
    )
    return Profile(
        source="modelled" if twin else "measured",
        basis=twin.basis if twin else "cycle counter",
        clock_mhz=identity.clock_hz / 1e6,
        macs=sum(step.macs for step in plan.steps),
        layers=layers,
        sram_peak_bytes=sum(bank.touched_bytes for bank in memory.banks[: len(plan.banks)]),
        stack_peak_bytes=memory.stack_peak_bytes,
    )
