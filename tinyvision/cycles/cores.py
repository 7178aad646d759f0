"""Timing of the cores, as data. Sources: Arm's Technical Reference Manuals (TRM), and where they
are silent, public measurements of single instructions; ``docs/cycle-model.md`` has the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Pipeline(IntEnum):
    """Which rules a core follows; ``native/core_*.c`` and ``python_core_*.py`` hold them."""

    M0 = 0
    M3 = 1
    M7 = 2
    M33 = 3
    M55 = 4


@dataclass(frozen=True)
class CoreTiming:
    """Cycles, of one core. What a pipeline's rules don't use is 0.

    ``branch``, ``branch_register`` (BX, BLX) and ``load_pc`` refill the pipeline after a branch
    that is taken, on top of the instruction's own; ``wide_target`` more where that is a 32-bit
    instruction that lies across words. ``unaligned_run``: lost where three such instructions
    follow each other. ``load_to_use``: after a load, unless the next instruction is an access that
    overlaps with it; ``other_memory``: after a load from elsewhere; ``store_to_load``: between the
    two. ``mac`` to ``fp_divide``, ``barrier`` and ``system``: what these instructions take;
    ``fp_result``: lost where the next instruction needs a float's result. ``mispredict``: branches
    foreseen wrongly, ``mispredict_early`` where the flags were known early, ``retarget`` where only
    the target was unknown. ``exception``: entry, and as much on return.

    ``macs_per_cycle``: 8-bit multiply-accumulates that the core could do in a cycle if nothing
    else were to be done. ``basis`` says what all this rests on, for whoever reads a number made
    of it.
    """

    pipeline: Pipeline
    basis: str
    macs_per_cycle: float
    branch: int = 0
    branch_register: int = 0
    load_pc: int = 0
    wide_target: int = 0
    unaligned_run: int = 0
    store_to_load: int = 0
    load_to_use: int = 0
    other_memory: int = 0
    unaligned_access: int = 0
    mac: int = 1
    multiply_long: int = 1
    mac_long: int = 1
    divide: int = 1
    fp_mac: int = 1
    fp_divide: int = 1
    fp_result: int = 0
    barrier: int = 1
    system: int = 1
    mispredict: int = 0
    mispredict_early: int = 0
    retarget: int = 0
    exception: int = 12


_M7 = CoreTiming(
    pipeline=Pipeline.M7,
    basis="23 published int8 images on two Cortex-M7: median error 1.0 %, worst -3.5 %",
    macs_per_cycle=2,
    mispredict=8,
    mispredict_early=6,
    retarget=3,
    unaligned_access=3,
    divide=7,
    fp_divide=16,
    barrier=8,
)

CORES: dict[str, CoreTiming] = {
    # Cortex-M0+ TRM (DDI 0484C), table 3-1: loads and stores 2, B taken 2, BL 3, POP to PC 3+N.
    "cortex-m0plus": CoreTiming(
        pipeline=Pipeline.M0,
        basis="8 published int8 images on a Cortex-M0+: median error 3.6 %, worst +33.7 %",
        macs_per_cycle=0.5,
        branch=1,
        branch_register=1,
        load_pc=2,
        barrier=3,
        system=3,
        exception=15,
    ),
    # Cortex-M3 TRM (DDI 0337I), table 3-1 and 3.3.2. Long multiplications stop early: the mean.
    "cortex-m3": CoreTiming(
        pipeline=Pipeline.M3,
        basis="Arm's manual and the Cortex-M4's rules; never compared with hardware",
        macs_per_cycle=0.5,
        branch=2,
        branch_register=2,
        load_pc=3,
        wide_target=1,
        unaligned_run=1,
        store_to_load=1,
        load_to_use=1,
        other_memory=1,
        unaligned_access=1,
        mac=2,
        multiply_long=4,
        mac_long=5,
        divide=6,
        barrier=4,
        system=2,
    ),
    # Cortex-M4 TRM (DDI 0439D), table 3-1, 3.3.2 and table 7-1.
    "cortex-m4": CoreTiming(
        pipeline=Pipeline.M3,
        basis="17 published int8 images on a Cortex-M4: median error 1.3 %, worst -6.6 %",
        macs_per_cycle=2,
        branch=2,
        branch_register=2,
        load_pc=3,
        wide_target=1,
        unaligned_run=1,
        store_to_load=1,
        load_to_use=1,
        other_memory=1,
        unaligned_access=1,
        divide=6,
        fp_mac=3,
        fp_divide=14,
        fp_result=1,
        barrier=4,
        system=2,
    ),
    "cortex-m7": _M7,
    "cortex-m7-sp": _M7,
    "cortex-m33": CoreTiming(
        pipeline=Pipeline.M33,
        basis="20 published int8 images on two Cortex-M33: median error 1.2 %, worst -4.0 %",
        macs_per_cycle=2,
        branch=1,
        branch_register=2,
        load_pc=3,
        wide_target=1,
        unaligned_access=1,
        divide=6,
        fp_divide=14,
        barrier=4,
    ),
    "cortex-m55": CoreTiming(
        pipeline=Pipeline.M55,
        basis="public descriptions of the core; no ground truth was found",
        macs_per_cycle=8,
        branch=3,
        branch_register=3,
        load_pc=3,
        divide=8,
        fp_divide=14,
        barrier=4,
    ),
}
