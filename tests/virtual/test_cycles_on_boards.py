"""Virtual boards whose clock ticks in modelled cycles."""

from __future__ import annotations

import dataclasses
import struct
import time
from contextlib import contextmanager
from itertools import pairwise

import pytest
import serial

from tinyvision.cycles import Cause
from tinyvision.cycles import engine as engine_module
from tinyvision.device.virtual import machine as machine_module
from tinyvision.device.virtual.board import VirtualBoard
from tinyvision.native import library
from tinyvision.target import load_board

BOARDS = ("stm32h7", "stm32l4")


@pytest.fixture
def bare(compile_bare):
    """A board with ``bare/machine.c`` on it, and a function that asks it one thing."""

    @contextmanager
    def start(name: str = "stm32l4", cycles: bool | None = None):
        with VirtualBoard(
            compile_bare("machine.c", name), load_board(name), cycles=cycles
        ) as board:
            line = serial.serial_for_url(board.port, timeout=60)
            line.write(b"e\x0d\xf0\xad\x0b")
            line.read_until(b"\x0d\xf0\xad\x0b")

            def ask(command: str, *words: int, answers: int = 1) -> tuple[int, ...]:
                line.write(command.encode() + struct.pack(f"<{len(words)}I", *words))
                return struct.unpack(f"<{answers}I", line.read(4 * answers))

            yield board, ask
            line.close()

    return start


@pytest.fixture(params=["native", "python"])
def engine(request, monkeypatch):
    """Every test that takes it runs with both engines, and both tracers."""
    if request.param == "python":
        monkeypatch.setattr(engine_module, "library", lambda: None)
        monkeypatch.setattr(machine_module, "library", lambda: None)
    elif library() is None:
        pytest.skip("needs a C compiler")
    return request.param


def test_the_cycle_counter_ticks_in_modelled_cycles(bare, engine):
    # A round of the loop: add, subs, nop and a taken branch of 1 + 2 cycles, on a Cortex-M4.
    with bare() as (board, ask):
        counts = [ask("t", n)[0] for n in (1000, 2000, 3000)]
        assert board.basis.startswith("cycle model: ")
        assert counts[2] - counts[1] == counts[1] - counts[0] == 1000 * 6


def test_reads_within_a_block_are_exact(bare, engine):
    # ldr, 3 nop | ldr, mov.w | ldr: the first nop hides the end of the load before it. The first
    # read finds the flash's buffers empty; its own line and the next take 5 wait states each.
    with bare() as (_, ask):
        assert ask("n", answers=2) == ask("n", answers=2)
        first, second = ask("n", answers=2)
        assert 1 + 3 <= first <= 1 + 3 + 2 * 5 + 1
        assert second == 3


def test_both_engines_count_the_same(bare, monkeypatch):
    if library() is None:
        pytest.skip("needs a C compiler")

    def trace() -> list[tuple[int, ...]]:
        with bare("stm32h7") as (board, ask):
            answers = [
                ask("t", 50),
                ask("n", answers=2),
                ask("i", 9),
                ask("f", answers=2),
                ask("m", 5),
            ]
            reads = list(board.machine.counter_reads)
            costs = [dataclasses.astuple(b.cost - a.cost) for a, b in pairwise(reads)]
            return [*answers, *costs]

    native = trace()
    monkeypatch.setattr(engine_module, "library", lambda: None)
    monkeypatch.setattr(machine_module, "library", lambda: None)
    assert trace() == native


@pytest.mark.parametrize("name", BOARDS)
def test_two_runs_take_the_same_cycles_whatever_the_host_does(bare, name):
    def run(pause: float) -> list[tuple[int, ...]]:
        with bare(name) as (_, ask):
            answers = []
            for n in (1, 7, 1000, 100_000):
                time.sleep(pause)
                answers.append(ask("t", n))
                ask("e", n)
            return answers

    assert run(0.0) == run(0.08)


@pytest.mark.parametrize("name", BOARDS)
def test_every_instruction_is_seen(bare, name):
    """What the model has played is what the tracer has counted: none lost in IT blocks, at the
    ends of pages, at interrupts.
    """
    with bare(name) as (board, ask):
        ask("i", 9)
        ask("f", answers=2)
        ask("t", 5000)
        board.machine.stop()
        time.sleep(0.2)
        played = board.machine._engine.total.executions
        counted = board.machine.tracer.instructions
        assert counted - 16 <= played <= counted  # the last block has not ended yet


def test_systick_interrupts_by_the_models_clock(bare, engine):
    with bare() as (_, ask):
        (passed,) = ask("w")
        assert 3 * 10_000 <= passed < 3 * 10_000 + 500


def test_stalls_are_told_by_cause(bare):
    with bare("stm32l4") as (board, ask):
        ask("t", 10_000)
        before, after = list(board.machine.counter_reads)[-2:]
        cost = after.cost - before.cost
        assert cost.stalls[Cause.BRANCH] == pytest.approx(20_000, abs=20)
        assert cost.executions + sum(cost.stalls) == cost.cycles


def test_detail_is_kept_between_reads_if_asked_for(bare):
    with bare("stm32l4") as (board, ask):
        ask("t", 10)
        assert not board.machine.counter_reads[-1].detail
        board.keep_detail()
        ask("t", 100)
        (function,) = board.hot_functions(0, 1)[:1]
        assert function.name == "spin"
        loop = [line for line in function.lines if line.cost.executions == 100]
        assert [line.text.split()[0] for line in loop] == ["add", "subs", "nop", "bne"]
        assert loop[-1].waits_for == "branch"


def test_instructions_only_is_still_there(bare):
    with bare(cycles=False) as (board, ask):
        assert board.basis == "instruction count"
        assert ask("t", 2000)[0] - ask("t", 1000)[0] == 4000
        assert board.machine.counter_reads[-1].cost is None
