"""Vectors and low-overhead loops: found in code as the assembler writes it, timed in beats."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tinyvision.cycles.cores import CORES
from tinyvision.cycles.decode import decode
from tinyvision.cycles.microop import FPU_BIT, Kind
from tinyvision.cycles.parameters import Parameters, Range, Storage
from tinyvision.cycles.python_engine import PythonEngine
from tinyvision.target.timing import FlashTiming

COMPILER = "arm-none-eabi-gcc"
pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}")

KINDS = {
    Kind.VECTOR_LOAD: (
        "vldrw.32 q0, [r0]",
        "vldrb.8 q1, [r2], #16",
        "vldrb.s16 q2, [r1]",
        "vldrh.s32 q3, [r4, #8]!",
        "vld20.8 {q0, q1}, [r0]",
    ),
    Kind.VECTOR_STORE: (
        "vstrw.32 q0, [r0]",
        "vstrb.8 q1, [r2], #16",
        "vstrb.32 q1, [r2]",
        "vst43.32 {q0, q1, q2, q3}, [r0]!",
    ),
    Kind.VECTOR_GATHER: (
        "vldrb.u8 q0, [r0, q1]",
        "vldrw.u32 q0, [q1, #4]",
        "vstrw.32 q0, [r0, q1, uxtw #2]",
    ),
    Kind.VECTOR_MULTIPLY: (
        "vmladava.s8 r0, q0, q1",
        "vmladav.s16 r2, q0, q1",
        "vmlaldava.s16 r0, r1, q2, q3",
        "vmul.i32 q0, q1, q2",
        "vmul.i16 q0, q1, r2",
        "vmla.s8 q0, q1, r2",
        "vqrdmulh.s32 q0, q1, q2",
        "vqdmulh.s32 q0, q1, r3",
        "vmulh.s8 q0, q1, q2",
        "vmullb.s8 q0, q1, q2",
    ),
    Kind.VECTOR: (
        "vadd.i32 q0, q1, q2",
        "vadd.i8 q0, q1, r2",
        "vmax.s8 q0, q1, q2",
        "vrshl.s32 q0, q1, q2",
        "vshr.s16 q0, q1, #3",
        "vqmovnb.s32 q0, q1",
        "vmovlb.s8 q0, q1",
        "vaddva.s8 r0, q1",
        "vand q0, q1, q2",
        "vmov.i32 q0, #0",
        "vcmp.s8 gt, q0, q1",
        "vctp.8 r0",
    ),
    Kind.VECTOR_FLOAT: (
        "vfma.f32 q0, q1, q2",
        "vmul.f32 q0, q1, q2",
        "vadd.f32 q0, q1, q2",
        "vmul.f32 q0, q1, r2",
    ),
    Kind.LOOP_START: ("dls lr, r0", "dlstp.8 lr, r0", "wls lr, r0, 2f\n nop\n 2:"),
    Kind.LOOP_END: ("1: nop\n le lr, 1b", "1: nop\n letp lr, 1b"),
    Kind.FP_MOVE: ("vmov s0, r1",),
    Kind.FP_LOAD: ("vldr s0, [r1]",),
    Kind.FP_FMA: ("vfma.f32 s0, s1, s2",),
}


@pytest.fixture(scope="module")
def assemble(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mve")

    def run(source: str) -> bytes:
        elf, binary = folder / "a.o", folder / "a.bin"
        text = f".syntax unified\n.thumb\n.text\n{source}\n"
        command = [COMPILER, "-c", "-mcpu=cortex-m55", "-mfloat-abi=hard", "-x", "assembler"]
        subprocess.run([*command, "-o", elf, "-"], input=text.encode(), check=True)
        subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, binary], check=True)
        return binary.read_bytes()

    return run


def test_vectors_are_told_from_each_other(assemble):
    wanted = [(kind, source) for kind, sources in KINDS.items() for source in sources]
    for kind, source in wanted:
        ops = decode(assemble(source), 0x1000)
        assert kind in [op.kind for op in ops], source


def test_registers_and_accesses_of_vectors(assemble):
    def q(number: int) -> int:
        return 15 << FPU_BIT + 4 * number

    (op,) = decode(assemble("vldrb.s32 q2, [r1, #4]"), 0)
    assert (op.results, op.address_sources, op.base, op.offset) == (q(2), 2, 1, 4)
    assert op.transfers * op.width == 4
    (op,) = decode(assemble("vstrw.32 q3, [r5], #-16"), 0)
    assert (op.sources, op.base, op.offset, op.base_result) == (q(3), 5, 0, 1 << 5)
    (op,) = decode(assemble("vldrh.s32 q3, [r4, #-8]!"), 0)
    assert (op.offset, op.transfers * op.width) == (-8, 8)
    (op,) = decode(assemble("vmladava.s8 r2, q0, q1"), 0)
    assert (op.sources, op.special_sources, op.results) == (q(0) | q(1), 4, 4)
    (op,) = decode(assemble("vadd.i8 q0, q1, r2"), 0)
    assert op.sources & (q(1) | 4) == q(1) | 4


def cycles(code: bytes) -> int:
    """Of a sequence once through, on a Cortex-M55 without wait states."""
    ops = decode(code, 0)
    known = {op.address: op for op in ops}
    ranges = (Range(0, 1 << 20, Storage.PLAIN),)
    parameters = Parameters(CORES["cortex-m55"], FlashTiming(0, 8), None, None, False, ranges)
    engine = PythonEngine(parameters, lambda a: [known[a]] if a in known else [])
    for op in ops:
        engine.play(op.address, 0x1000, True, op.end, False)
    return engine.cycle


def test_vectors_of_different_units_overlap_and_of_one_unit_do_not(assemble):
    load, multiply = "vldrw.32 q{}, [r0]", "vmladava.s8 r2, q0, q1"
    mixed = "\n".join(f"{load.format(2 + i % 4)}\n{multiply}" for i in range(8))
    alone = "\n".join([multiply] * 8)
    assert cycles(assemble(f"{alone}\n vmladava.s8 r2, q0, q1")) == 8 * 2 + 1
    assert cycles(assemble(mixed)) == 8 * 2


def test_a_vector_that_needs_the_one_before_waits(assemble):
    apart = cycles(assemble("vldrw.32 q2, [r0]\n vadd.i32 q0, q1, q1"))
    together = cycles(assemble("vldrw.32 q2, [r0]\n vadd.i32 q0, q1, q2"))
    assert together == apart + 1


def test_loops_branch_for_nothing(assemble):
    assert cycles(assemble("1: nop\n le lr, 1b")) == 2


def test_it_is_said_that_nothing_was_compared():
    assert "no ground truth" in CORES["cortex-m55"].basis
