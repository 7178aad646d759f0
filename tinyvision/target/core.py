"""Processor cores: what a kernel may use on them. Nothing here depends on a board."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Core:
    """One Arm Cortex-M core, or the host.

    ``cpu`` is GCC's ``-mcpu`` name; ``dsp`` means the 16-bit SIMD instructions (SMLAD, SXTB16),
    ``mve`` the integer vector extension; ``dual`` that a load issues beside a multiplication, so
    that loops should mix them; ``fpu`` GCC's ``-mfpu`` name or "". ``least_reads``: how often
    constants have to be read for a copy of them in RAM to pay, with the memories that boards of
    the core have; ``load_run``: cycles that loads in a row take besides one for each.
    """

    name: str
    cpu: str
    dsp: bool = False
    mve: bool = False
    dual: bool = False
    fpu: str = ""
    unaligned: bool = True
    least_reads: int = 3
    load_run: int = 0


CORES: dict[str, Core] = {
    core.name: core
    for core in (
        Core("host", "", dsp=False),
        Core("cortex-m0plus", "cortex-m0plus", unaligned=False),
        Core("cortex-m3", "cortex-m3", load_run=1),
        Core("cortex-m4", "cortex-m4", dsp=True, fpu="fpv4-sp-d16", load_run=1),
        Core("cortex-m7", "cortex-m7", dsp=True, dual=True, fpu="fpv5-d16"),
        Core("cortex-m7-sp", "cortex-m7", dsp=True, dual=True, fpu="fpv5-sp-d16"),
        Core("cortex-m33", "cortex-m33", dsp=True, fpu="fpv5-sp-d16", least_reads=4),
        Core("cortex-m55", "cortex-m55", dsp=True, mve=True, fpu="auto"),
        Core("cortex-m85", "cortex-m85", dsp=True, mve=True, fpu="auto"),
    )
}
