"""Timing of single instructions and short sequences, pinned to Arm's manuals.

Table and page are named at each case. Memories have no wait states unless a test says otherwise.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tinyvision.cycles.cores import CORES
from tinyvision.cycles.decode import decode
from tinyvision.cycles.microop import Cause
from tinyvision.cycles.parameters import Parameters, Range, Storage
from tinyvision.cycles.python_engine import PythonEngine
from tinyvision.target.timing import CacheTiming, FlashTiming

ASSEMBLER, OBJCOPY = "arm-none-eabi-as", "arm-none-eabi-objcopy"
pytestmark = pytest.mark.skipif(shutil.which(ASSEMBLER) is None, reason=f"needs {ASSEMBLER}")

CODE, RAM, OTHER_RAM = 0x0800_0000, 0x2000_0000, 0x2004_0000
CPUS = {
    "cortex-m0plus": ("cortex-m0plus", ()),
    "cortex-m3": ("cortex-m3", ()),
    "cortex-m4": ("cortex-m4", ("-mfpu=fpv4-sp-d16",)),
    "cortex-m7": ("cortex-m7", ("-mfpu=fpv5-d16",)),
    "cortex-m33": ("cortex-m33", ("-mfpu=fpv5-sp-d16",)),
}
AFTER = "mov r12, r12"


@cache
def assemble(core: str, source: str) -> bytes:
    cpu, options = CPUS[core]
    with TemporaryDirectory() as folder:
        elf, binary = Path(folder) / "a.o", Path(folder) / "a.bin"
        text = f".syntax unified\n.thumb\n.text\n{source}\n"
        command = [ASSEMBLER, f"-mcpu={cpu}", *options, "-o", str(elf), "-"]
        subprocess.run(command, input=text.encode(), check=True)
        subprocess.run([OBJCOPY, "-O", "binary", str(elf), str(binary)], check=True)
        return binary.read_bytes()


class Run:
    """Plays a sequence once through. ``accesses``: first addresses of the loads and stores, in
    order; ``skipped``: numbers of instructions whose condition fails; ``jumps``: number of a
    branch that is taken, and of the instruction that it goes to.
    """

    def __init__(
        self,
        core: str,
        source: str,
        accesses: tuple[int, ...] = (),
        skipped: tuple[int, ...] = (),
        jumps: dict[int, int] | None = None,
        rounds: int = 1,
        flash: FlashTiming | None = None,
        fetch_cache: CacheTiming | None = None,
        data_cache: CacheTiming | None = None,
    ) -> None:
        code = assemble(core, source)
        ops, offset = [], 0
        while offset < len(code):
            ops += decode(code[offset:], CODE + offset)
            offset = ops[-1].end - CODE
        storage = Storage.PLAIN if flash is None else Storage.FLASH
        ranges = (
            Range(CODE, 0x10000, storage),
            Range(RAM, 0x10000, Storage.PLAIN),
            Range(OTHER_RAM, 0x10000, Storage.PLAIN),
        )
        parameters = Parameters(
            CORES[core], flash or FlashTiming(0, 16), fetch_cache, data_cache, False, ranges
        )
        by_address = {op.address: op for op in ops}
        self.engine = PythonEngine(parameters, lambda a: [by_address[a]] if a in by_address else [])
        jumps = jumps or {}
        self.times: list[int] = []
        for _ in range(rounds):
            self._round(ops, accesses, skipped, jumps)
            self.times.append(self.engine.cycle)

    def _round(self, ops, accesses, skipped, jumps) -> None:
        index, left = 0, list(accesses)
        while index < len(ops):
            op = ops[index]
            following = jumps.get(index, index + 1)
            target = ops[following].address if following < len(ops) else op.end
            wide = following < len(ops) and ops[following].size == 4
            access = left.pop(0) if op.transfers and index not in skipped and left else RAM
            self.engine.play(op.address, access, index not in skipped, target, wide)
            if following <= index:
                return
            index = following

    @property
    def cycles(self) -> int:
        return self.engine.cycle

    def stalls(self, cause: Cause) -> int:
        return self.engine.total.stalls[cause]


def cycles(core: str, source: str, **more: object) -> int:
    return Run(core, source, **more).cycles  # type: ignore[arg-type]


# Cortex-M0+ TRM r0p1 (DDI 0484C), table 3-1, page 3-4 and on; multiplier of one cycle.
M0_PLUS = [
    ("movs r0, #1", 1),
    ("adds r0, r1, r2", 1),
    ("subs r0, r1, #1", 1),
    ("muls r0, r1, r0", 1),
    ("cmp r0, r1", 1),
    ("lsls r0, r1, #3", 1),
    ("rors r0, r1", 1),
    ("ldr r0, [r1, #4]", 2),
    ("ldrh r0, [r1, r2]", 2),
    ("ldrsb r0, [r1, r2]", 2),
    ("ldr r0, [sp, #4]", 2),
    ("str r0, [r1, #4]", 2),
    ("strb r0, [r1, r2]", 2),
    ("ldmia r0!, {r1, r2, r3}", 4),
    ("stmia r0!, {r1, r2}", 3),
    ("push {r0, r1, lr}", 4),
    ("pop {r0, r1}", 3),
    ("sxtb r0, r1", 1),
    ("rev r0, r1", 1),
    ("mrs r0, primask", 3),
    ("msr primask, r0", 3),
    ("dmb", 3),
    ("dsb", 3),
    ("isb", 3),
    ("nop", 1),
]


@pytest.mark.parametrize(("source", "expected"), M0_PLUS)
def test_m0plus(source, expected):
    assert cycles("cortex-m0plus", source) == expected


def test_m0plus_branches():
    # The same table: B taken 2, not taken 1, BL 3, BX 2, POP with PC 3 + N.
    assert cycles("cortex-m0plus", "b 1f\n nop\n1: nop", jumps={0: 2}) == 2 + 1
    assert cycles("cortex-m0plus", "bne 1f\n nop\n1: nop") == 1 + 1 + 1
    assert cycles("cortex-m0plus", "bne 1f\n nop\n1: nop", jumps={0: 2}) == 2 + 1
    assert cycles("cortex-m0plus", "bl 1f\n nop\n1: nop", jumps={0: 2}) == 3 + 1
    assert cycles("cortex-m0plus", "bx lr\n nop\n nop", jumps={0: 2}) == 2 + 1
    assert cycles("cortex-m0plus", "pop {r4, pc}\n nop\n nop", jumps={0: 2}) == 3 + 2 + 1


# Cortex-M3 TRM r2p0 (DDI 0337H), table 3-1, page 3-4 and on. A load alone takes 2 cycles, the
# second of which the instruction after it waits for: hence one more for AFTER. Where the manual
# gives a range, the model's value lies in it.
M3 = [
    ("mov r0, r1", 1, 1),
    ("add r0, r1, r2, lsl #3", 1, 1),
    ("mul r0, r1, r2", 1, 1),
    ("mla r0, r1, r2, r3", 2, 2),
    ("mls r0, r1, r2, r3", 2, 2),
    ("smull r0, r1, r2, r3", 3, 5),
    ("umlal r0, r1, r2, r3", 4, 7),
    ("sdiv r0, r1, r2", 2, 12),
    ("ssat r0, #8, r1", 1, 1),
    ("ubfx r0, r1, #3, #4", 1, 1),
    ("ldr r0, [r1]", 2, 2),
    ("ldrsh r0, [r1, #2]", 2, 2),
    ("ldr r0, [r1], #4", 2, 2),
    ("ldmia r0!, {r1-r4}", 5, 5),
    ("push {r4-r7, lr}", 6, 6),
    ("ldrd r0, r1, [r2]", 3, 3),
    ("strd r0, r1, [r2]", 3, 3),
    ("mrs r0, primask", 1, 2),
    ("rev r0, r1", 1, 1),
    ("clz r0, r1", 1, 1),
    ("sxtb r0, r1", 1, 1),
]


@pytest.mark.parametrize(("source", "least", "most"), M3)
def test_m3(source, least, most):
    assert least <= cycles("cortex-m3", f"{source}\n{AFTER}") - 1 <= most


# Cortex-M4 TRM r0p1 (DDI 0439D), table 3-1, page 3-4 and on: every multiplication takes one cycle.
M4 = [
    ("mla r0, r1, r2, r3", 1),
    ("smull r0, r1, r2, r3", 1),
    ("smlal r0, r1, r2, r3", 1),
    ("umaal r0, r1, r2, r3", 1),
    ("smlad r0, r1, r2, r3", 1),
    ("smuad r0, r1, r2", 1),
    ("smlabb r0, r1, r2, r3", 1),
    ("smmul r0, r1, r2", 1),
    ("sxtb16 r0, r1, ror #8", 1),
    ("sxtab16 r0, r1, r2", 1),
    ("pkhbt r0, r1, r2, lsl #16", 1),
    ("qadd r0, r1, r2", 1),
    ("ssat r0, #8, r1, asr #3", 1),
    ("usada8 r0, r1, r2, r3", 1),
    ("ldr r0, [r1]", 2),
    ("ldmia r0!, {r1-r4}", 5),
    ("ldrd r0, r1, [r2]", 3),
    ("stmia r0!, {r1-r3}", 4),
]
# Table 7-1, page 7-5: the FPU.
M4_FPU = [
    ("vadd.f32 s0, s1, s2", 1),
    ("vmul.f32 s0, s1, s2", 1),
    ("vabs.f32 s0, s1", 1),
    ("vcvt.s32.f32 s0, s1", 1),
    ("vmla.f32 s0, s1, s2", 3),
    ("vfma.f32 s0, s1, s2", 3),
    ("vfnms.f32 s0, s1, s2", 3),
    ("vdiv.f32 s0, s1, s2", 14),
    ("vsqrt.f32 s0, s1", 14),
    ("vmov s0, r1", 1),
    ("vmov r0, r1, s2, s3", 2),
    ("vldr s0, [r0]", 2),
    ("vldr d0, [r0]", 3),
    ("vstr s0, [r0]", 1),
    ("vldmia r0!, {s0-s3}", 5),
    ("vstmia r0!, {s0-s3}", 5),
    ("vpush {s16-s19}", 5),
]


@pytest.mark.parametrize(("source", "expected"), [*M4, *M4_FPU])
def test_m4(source, expected):
    assert cycles("cortex-m4", f"{source}\n{AFTER}") - 1 == expected


def test_m4_divides_in_2_to_12():
    # Table 3-1: the model has one value, in the middle of the range.
    assert 2 <= cycles("cortex-m4", "udiv r0, r1, r2") <= 12


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4"])
def test_m3_and_m4_refill_the_pipeline_after_a_branch(core):
    # Table 3-1: 1 + P, P from 1 to 3; not taken, 1.
    assert cycles(core, "bne 1f\n nop\n1: nop") == 3
    assert 1 + 1 <= cycles(core, "bne 1f\n nop\n1: nop", jumps={0: 2}) - 1 <= 1 + 3
    assert 1 + 1 <= cycles(core, "bx lr\n nop\n nop", jumps={0: 2}) - 1 <= 1 + 3
    assert cycles(core, "pop {r4, pc}\n nop\n nop", jumps={0: 2}) - 1 in range(1 + 2 + 1, 1 + 2 + 4)
    # "depending on the alignment and width of the target": one more where it lies across words.
    plain = cycles(core, "b 1f\n nop\n1: add.w r0, r1, r2", jumps={0: 2})
    across = cycles(core, "b 1f\n nop\n nop\n1: add.w r0, r1, r2", jumps={0: 3})
    assert across == plain + 1


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4"])
def test_m3_and_m4_overlap_loads(core):
    # DDI 0337I 3.3.2, page 3-9; DDI 0439D 3.3.2: the manuals' examples. The store after a load
    # takes one cycle less than they say: so it was measured, see docs/cycle-model.md.
    assert cycles(core, f"ldr r0, [r1]\n ldr r1, [r2]\n{AFTER}") - 1 == 3
    assert cycles(core, f"ldr r0, [r1, r2]\n str r0, [r3, #20]\n{AFTER}") - 1 == 2
    assert cycles(core, f"ldr r0, [r1, r5]\n ldr r1, [r2]\n ldr r2, [r3, #4]\n{AFTER}") - 1 == 4
    # "if the destination of the first LDR is not used to compute the address for the next"
    assert cycles(core, f"ldr r0, [r1]\n ldr r2, [r0]\n{AFTER}") - 1 == 4


def test_m4_loads_from_two_memories_do_not_overlap_fully():
    near, far = (RAM, RAM + 4), (RAM, OTHER_RAM)
    source = f"ldr r0, [r1]\n ldr r2, [r3]\n{AFTER}"
    difference = Run("cortex-m4", source, far).cycles - Run("cortex-m4", source, near).cycles
    assert difference == 1


def test_m4_float_results_are_a_cycle_late_for_the_next_instruction():
    # DDI 0439D, table 7-1, note: one cycle more if the next instruction consumes the result; a
    # multiply-accumulate takes its addend later and does not wait.
    assert cycles("cortex-m4", "vadd.f32 s0, s1, s2\n vadd.f32 s3, s0, s4") == 3
    assert cycles("cortex-m4", "vadd.f32 s0, s1, s2\n vadd.f32 s3, s5, s4") == 2
    assert cycles("cortex-m4", "vfma.f32 s0, s1, s2\n vfma.f32 s0, s3, s4") == 6
    assert cycles("cortex-m4", "vfma.f32 s0, s1, s2\n vfma.f32 s3, s0, s4") == 7


def test_conditional_instructions_take_a_cycle_when_skipped():
    # DDI 0439D 3.3.1: an instruction whose condition fails takes one cycle.
    source = f"ite eq\n ldreq r0, [r1]\n sdivne r0, r1, r2\n{AFTER}"
    assert Run("cortex-m4", source, skipped=(1,)).cycles == 1 + 1 + 6 + 1
    assert Run("cortex-m4", source, skipped=(2,)).cycles == 1 + 1 + 1 + 1 + 1


# Cortex-M33 TRM (100230), B1: "limited dual-issue of common 16-bit instruction pairs"; latencies as
# measured on an RP2350 (docs/cycle-model.md).
M33 = [
    ("mul r0, r1, r2", "add r3, r4, r5", 2),
    ("mul r0, r1, r2", "add r3, r0, r5", 3),
    ("ldr r0, [r1]", "add r3, r4, r5", 2),
    ("ldr r0, [r1]", "add r3, r0, r5", 3),
    ("ldr r0, [r1]", "mla r2, r3, r4, r0", 2),
    ("ldr r0, [r1]", "str r0, [r2]", 3),
    ("mla r0, r1, r2, r0", "mla r0, r3, r4, r0", 2),
    ("mla r0, r1, r2, r0", "mla r5, r3, r0, r4", 3),
    ("add r0, r1, r2, lsl #3", "add r3, r0, r5", 3),
    ("ldmia r0!, {r1-r4}", "mov r8, r8", 5),
    ("ldrd r0, r1, [r2]", "mov r8, r8", 3),
]


@pytest.mark.parametrize(("first", "second", "expected"), M33)
def test_m33(first, second, expected):
    assert cycles("cortex-m33", f"{first}\n{second}") == expected


def test_m33_issues_short_branches_with_what_precedes_them():
    loop = "1: adds r4, #1\n {}\n bne 1b"
    alone = Run("cortex-m33", loop.format("subs r7, #1"), jumps={2: 0}, rounds=9)
    paired = Run("cortex-m33", loop.format("mov r0, r1"), jumps={2: 0}, rounds=9)
    assert alone.times[8] - alone.times[7] == 4
    assert paired.times[8] - paired.times[7] == 3


# Cortex-M7 TRM r1p2 (DDI 0489F) 1.1: dual issue; rules as measured on STM32H743.
M7_PAIRS = [
    ("add r0, r1, r2", "add r3, r4, r5", True),
    ("add r0, r1, r2", "ldr r3, [r4]", True),
    ("ldr r0, [r1]", "mla r2, r3, r4, r5", True),
    ("mla r0, r1, r2, r3", "mla r4, r5, r6, r7", False),
    ("mul r0, r1, r2", "str r3, [r4]", False),
    ("str r0, [r1]", "str r2, [r3]", False),
    ("add r0, r1, r2", "uxtb r3, r4", False),
    ("uxtb r3, r4", "add r0, r1, r2", True),
    ("eor r0, r1, r2, lsl #1", "eor r3, r4, r5, lsl #2", False),
    ("add r0, r1, r2", "ldrd r4, r5, [r6]", False),
    ("vadd.f32 s0, s1, s2", "vmul.f32 s3, s4, s5", False),
    ("vadd.f32 s0, s1, s2", "vldr s3, [r0]", True),
    ("ldr r0, [r1]", "ldr r2, [r3]", True),
]


@pytest.mark.parametrize(("first", "second", "together"), M7_PAIRS)
def test_m7_pairs(first, second, together):
    # A third instruction shows in which cycle the second went.
    after = Run("cortex-m7", f"{first}\n{second}\n dmb", (RAM, RAM + 4))
    alone = Run("cortex-m7", f"{first}\n dmb", (RAM, RAM + 4))
    assert after.cycles - alone.cycles == (0 if together else 1)


def test_m7_loads_from_one_bank_do_not_pair():
    source = "ldr r0, [r1]\n ldr r2, [r3]\n dmb"
    odd = Run("cortex-m7", source, (RAM, RAM + 4)).cycles
    assert Run("cortex-m7", source, (RAM, RAM + 8)).cycles == odd + 1


def test_m7_latencies():
    def wait(first: str, second: str) -> int:
        return cycles("cortex-m7", f"{first}\n{second}\n dmb") - cycles(
            "cortex-m7", f"{first}\n dmb"
        )

    assert wait("mul r0, r1, r2", "eor r3, r0, r4") == 2
    assert wait("ldr r0, [r1]", "eor r3, r0, r4") == 1
    assert wait("ldrb r0, [r1]", "eor r3, r0, r4") == 2
    assert wait("ldr r0, [r1]", "mul r3, r0, r4") == 2
    assert wait("mla r0, r1, r2, r0", "mla r0, r3, r4, r0") == 1
    assert wait("vfma.f32 s0, s1, s2", "vfma.f32 s0, s3, s4") == 3
    assert wait("vfma.f32 s0, s1, s2", "vmul.f32 s3, s0, s4") == 5
    assert wait("vadd.f32 s0, s1, s2", "vadd.f32 s3, s0, s4") == 3


def test_m7_learns_branches():
    # A loop of three cycles: foreseen as taken, and mispredicted once, when it ends.
    source = "1: add r0, r1, r2\n mul r3, r4, r5\n mul r6, r7, r8\n subs r9, #1\n bne 1b"
    run = Run("cortex-m7", source, jumps={4: 0}, rounds=50)
    rounds = [b - a for a, b in zip(run.times[10:], run.times[11:], strict=False)]
    assert set(rounds) == {rounds[0]}
    learnt = run.stalls(Cause.BRANCH)
    before = run.cycles
    run._round(decode(assemble("cortex-m7", source), CODE), (), (), {})
    assert run.stalls(Cause.BRANCH) - learnt in (6, 8)
    assert run.cycles - before > rounds[0]


def test_flash_waits_without_and_with_a_cache():
    flash = FlashTiming(wait_states=5, line_bytes=16)
    cache = CacheTiming(16, 1024, 64)
    source = "\n".join(["mov r0, r1"] * 32)  # four lines
    cold = Run("cortex-m4", source, flash=flash)
    assert cold.cycles == 32 + 4 * 5
    assert cold.stalls(Cause.FLASH_WAIT) == 4 * 5
    warm = Run("cortex-m4", source, flash=flash, fetch_cache=cache, rounds=2)
    assert warm.times == [32 + 4 * 5, 2 * 32 + 4 * 5]
    ahead = Run("cortex-m4", source, flash=FlashTiming(5, 16, prefetch=True))
    assert ahead.cycles == 32 + 5  # 8 instructions a line hide the next line's 6 cycles


def test_data_within_one_flash_line_come_at_once_where_it_is_buffered():
    source = "\n".join(["ldrb r0, [r1]"] * 4)
    accesses = tuple(CODE + 0x1000 + i for i in range(4))
    waits = [
        Run(
            "cortex-m0plus",
            source,
            accesses,
            flash=FlashTiming(2, 8, data_buffer=buffered),
            fetch_cache=CacheTiming(8, 16, 2),
        ).cycles
        for buffered in (False, True)
    ]
    assert waits[0] - waits[1] >= 3 * 2


def test_streaming_through_a_level_one_cache_waits_for_whole_lines():
    source = "\n".join(["ldr r0, [r1]"] * 8)
    stream = tuple(CODE + 0x1000 + 32 * i for i in range(8))
    caches = {"fetch_cache": CacheTiming(32, 4096, 2), "data_cache": CacheTiming(32, 4096, 4)}
    times = [
        Run(
            "cortex-m7",
            source,
            stream,
            flash=FlashTiming(6, 32, line_fill=12, line_busy=busy),
            **caches,
        ).cycles
        for busy in (0, 19)
    ]
    assert times[1] - times[0] == pytest.approx(7 * (19 - 12), abs=7)


def test_stalls_add_up_to_what_is_not_issued():
    source = f"ldr r0, [r1]\n add r2, r0, r3\n sdiv r4, r5, r6\n{AFTER}"
    run = Run("cortex-m4", source)
    total = run.engine.total
    assert total.cycles == run.cycles == total.executions + sum(total.stalls)
    assert run.stalls(Cause.LOAD_USE) == 1
    assert run.stalls(Cause.OTHER) == 5
