"""The engine in C and the one in Python are equal in every number, on random traces."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvision.cycles.cores import CORES, Pipeline
from tinyvision.cycles.microop import NO_REGISTER, Flag, Kind, MicroOp
from tinyvision.cycles.native_engine import NativeEngine
from tinyvision.cycles.parameters import Parameters, Range, Storage
from tinyvision.cycles.python_engine import PythonEngine
from tinyvision.native import library
from tinyvision.target.timing import CacheTiming, FlashTiming

FLASH, RAM, BUS = 0x0800_0000, 0x2000_0000, 0x2400_0000
CODE_BYTES = 0x200

needs_native = pytest.mark.skipif(library() is None, reason="needs a C compiler")

small = st.integers(0, 4)
caches = st.none() | st.builds(
    lambda line, sets, ways: CacheTiming(line, line * sets * ways, ways),
    st.sampled_from([8, 16, 32]),
    st.sampled_from([1, 2, 8]),
    st.integers(1, 4),
)


@st.composite
def memories(draw) -> Parameters:
    """Any core with any memories behind it."""
    fetch, data = draw(caches), draw(caches)
    unified = fetch is not None and draw(st.booleans())
    flash = FlashTiming(
        wait_states=draw(small),
        line_bytes=draw(st.sampled_from([8, 16])),
        fetch_extra=draw(small),
        data_extra=draw(small),
        data_next=draw(small),
        prefetch=draw(st.booleans()),
        prefetch_lead=draw(small),
        data_buffer=draw(st.booleans()),
        line_fill=draw(st.sampled_from([0, 0, 9])),
        line_busy=draw(st.sampled_from([0, 12])),
        write_back=draw(small),
    )
    data = None if unified else data
    bus = Storage.CACHED if data is not None and draw(st.booleans()) else Storage.PLAIN
    return Parameters(
        core=CORES[draw(st.sampled_from(sorted(CORES)))],
        flash=flash,
        fetch_cache=fetch,
        data_cache=data,
        unified=unified,
        ranges=(
            Range(FLASH, 0x10000, Storage.FLASH),
            Range(RAM, 0x1000, Storage.PLAIN),
            Range(BUS, 0x1000, bus, draw(small), draw(small)),
        ),
    )


def mask(rng: random.Random) -> int:
    """A few registers, out of few, so that they depend on each other."""
    bits = [0, 1, 2, 3, 13, 16, 32, 33, 34, 35]
    return sum(1 << bit for bit in rng.sample(bits, rng.randrange(3)))


def random_op(rng: random.Random, address: int) -> MicroOp:
    kind = rng.choice(list(Kind))
    accesses = (
        Kind.LOAD <= kind <= Kind.STORE_DOUBLE
        or Kind.FP_LOAD <= kind <= Kind.FP_STORE_MULTIPLE
        or kind in (Kind.POP_PC, Kind.LOAD_PC, Kind.TABLE_BRANCH)
        or kind in (Kind.VECTOR_LOAD, Kind.VECTOR_STORE)
    )
    registers = rng.randrange(1, 9)
    return MicroOp(
        address=address,
        size=rng.choice((2, 4)),
        kind=kind,
        flags=sum(flag for flag in Flag if rng.random() < 0.2),
        transfers=registers if accesses else 0,
        width=rng.choice((1, 2, 4, 4, 8)),
        registers=registers,
        base=NO_REGISTER,
        sources=mask(rng),
        address_sources=mask(rng),
        special_sources=mask(rng),
        results=mask(rng),
        base_result=mask(rng),
    )


def random_program(rng: random.Random) -> dict[int, MicroOp]:
    program: dict[int, MicroOp] = {}
    address = FLASH
    while address < FLASH + CODE_BYTES:
        program[address] = random_op(rng, address)
        address = program[address].end
    return program


def random_trace(rng: random.Random, program: dict[int, MicroOp], length: int):
    """Arguments of ``Engine.play``."""
    addresses = sorted(program)
    address = FLASH
    for _ in range(length):
        op = program[address]
        area = rng.choice((FLASH, RAM, BUS, 0x4000_0000))
        access = area + rng.randrange(64) * rng.choice((1, 4, 16))
        jumps = (op.branches and rng.random() < 0.5) or op.end not in program
        following = rng.choice(addresses) if jumps else op.end
        yield address, access, rng.random() < 0.9, following, program[following].size == 4
        address = following


@needs_native
@settings(max_examples=150, deadline=None)
@given(memories(), st.integers(0, 2**32))
def test_both_engines_agree(parameters, seed):
    rng = random.Random(seed)
    program = random_program(rng)

    def decode(address: int) -> list[MicroOp]:
        return [program[address]] if address in program else []

    native, python = NativeEngine(library(), parameters, decode), PythonEngine(parameters, decode)
    seen: dict[object, list[tuple[int, int, int, bool]]] = {native: [], python: []}
    for engine, accesses in seen.items():
        engine.watch(RAM, 32, lambda *access, to=accesses: to.append(access))
    for index, step in enumerate(random_trace(rng, program, 400)):
        native.play(*step)
        python.play(*step)
        assert native.cycle == python.cycle, (index, program[step[0]], step)
        if index == 300:
            native.clear()
            python.clear()
    assert native.total == python.total
    assert native.costs() == python.costs()
    assert seen[native] == seen[python]
    assert all(RAM <= access[1] < RAM + 32 for access in seen[native])
    total = native.total
    if parameters.core.pipeline in (Pipeline.M0, Pipeline.M3):  # one instruction at a time
        assert total.cycles == total.executions + sum(total.stalls)
    assert sum(total.stalls) <= total.cycles + total.executions
    native.clear_costs()
    assert native.costs() == []


@needs_native
def test_the_engine_grows_with_the_program():
    """Past what it has room for at first, and still finds every instruction."""
    parameters = Parameters(
        CORES["cortex-m4"],
        FlashTiming(0, 16),
        None,
        None,
        False,
        (Range(0, 1 << 24, Storage.PLAIN),),
    )
    engine = NativeEngine(library(), parameters, lambda a: [MicroOp(a, 2, Kind.ALU)])
    for address in range(0, 40_000, 2):
        engine.play(address, 0, True, address + 2, False)
    assert engine.cycle == 20_000
    assert len(engine.costs()) == 20_000
    assert {item.cost.executions for item in engine.costs()} == {1}


def test_every_pipeline_is_used():
    assert {core.pipeline for core in CORES.values()} == set(Pipeline)
    assert all(replace(core).basis for core in CORES.values())
