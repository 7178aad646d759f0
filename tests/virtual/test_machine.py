"""The virtual board against a bare program that does one thing at a time."""

from __future__ import annotations

import os
import struct
import time
from contextlib import contextmanager

import numpy as np
import pytest
import serial

from tinyvision.device.virtual import machine as machine_module
from tinyvision.device.virtual import open_board
from tinyvision.device.virtual.board import VirtualBoard
from tinyvision.errors import BoardError, DeviceError
from tinyvision.target import load_board

BOARDS = ("stm32h7", "stm32l4")


class Session:
    """A board with ``bare/machine.c`` on it and a line to it."""

    def __init__(self, board: VirtualBoard) -> None:
        self.board = board
        self.machine = board.machine
        self.connect()

    def connect(self) -> None:
        """Opens the line and reads past a greeting that may have been sent just now."""
        self.line = serial.serial_for_url(self.board.port, timeout=20)
        self.line.write(b"e\x0d\xf0\xad\x0b")
        self.line.read_until(b"\x0d\xf0\xad\x0b")

    def ask(self, command: str, *words: int, answers: int = 1) -> tuple[int, ...]:
        self.line.write(command.encode() + struct.pack(f"<{len(words)}I", *words))
        return struct.unpack(f"<{answers}I", self.line.read(4 * answers))

    def fault(self, command: str, *words: int) -> dict[str, int]:
        """What the program's HardFault handler reports."""
        self.line.write(command.encode() + struct.pack(f"<{len(words)}I", *words))
        report = self.line.read(25)
        assert report[:1] == b"!"
        names = ("pc", "ipsr", "cfsr", "hfsr", "bfar", "exc_return")
        return dict(zip(names, struct.unpack("<6I", report[1:]), strict=True))


@pytest.fixture
def bare(compile_bare):
    @contextmanager
    def start(board: str = "stm32h7", *flags: str):
        elf = compile_bare("machine.c", board, *flags)
        with VirtualBoard(elf, load_board(board), cycles=False) as running:
            session = Session(running)
            yield session
            session.line.close()

    return start


@pytest.fixture(params=["native", "python"])
def tracer(request, monkeypatch):
    """Every test that takes it runs with both tracers."""
    if request.param == "python":
        monkeypatch.setattr(machine_module, "library", lambda: None)
    elif machine_module.library() is None:
        pytest.skip("needs a C compiler")
    return request.param


@pytest.mark.parametrize("board", BOARDS)
def test_boots_and_answers(bare, board):
    with bare(board) as session:
        assert session.ask("e", 0x12345678) == (0x12345678,)
        assert session.board.problem() is None


@pytest.mark.parametrize("board", BOARDS)
def test_instructions_are_counted_exactly(bare, board, tracer):
    # Four a round; the call, the loads around it and the store make up the rest.
    with bare(board) as session:
        counts = [session.ask("t", n)[0] for n in (10, 11, 1000, 10, 20_000)]
        rest = counts[0] - 40
        assert 0 < rest < 20
        assert counts == [40 + rest, 44 + rest, 4000 + rest, 40 + rest, 80_000 + rest]


def test_both_tracers_count_the_same(bare, monkeypatch):
    def trace() -> list[int]:
        with bare() as session:
            session.ask("t", 100)
            session.ask("f", answers=2)
            session.ask("m", 5)
            reads = [read.instructions for read in session.machine.counter_reads]
            return [b - a for a, b in zip(reads[::2], reads[1::2], strict=True)]

    native = trace()
    monkeypatch.setattr(machine_module, "library", lambda: None)
    assert trace() == native


def test_counts_within_a_block_are_exact(bare, tracer):
    # ldr, 3 nop | ldr, mov.w | ldr
    with bare() as session:
        assert session.ask("n", answers=2) == (4, 2)


def test_skipped_instructions_of_it_blocks_count(bare, tracer):
    with bare() as session:
        before = session.machine.tracer.instructions
        assert session.ask("i", 9) == (13,)
        middle = session.machine.tracer.instructions
        assert session.ask("i", 3) == (2,)
        assert middle > before


def test_two_runs_count_the_same(bare):
    def run(pause: float) -> list[int]:
        with bare() as session:
            time.sleep(pause)
            return [session.ask("t", n)[0] for n in (1, 1000, 100_000)]

    assert run(0.0) == run(0.15)


def test_speed(bare):
    if machine_module.library() is None:
        pytest.skip("needs a C compiler")
    with bare() as session:
        session.ask("t", 1000)
        start = time.process_time()
        session.ask("t", 20_000_000)
        rate = 80e6 / (time.process_time() - start)
    assert rate > 50e6, f"{rate / 1e6:.0f} million instructions a second"


def test_a_waiting_board_uses_no_processor(bare):
    with bare() as session:
        session.ask("e", 1)
        before = os.times()
        time.sleep(0.5)
        after = os.times()
        assert after.user - before.user + after.system - before.system < 0.2
        assert session.ask("e", 2) == (2,)


def test_code_in_ram_runs(bare, tracer):
    with bare() as session:
        assert session.ask("m", 5) == (16,)
        assert session.board.problem() is None


def test_floating_point_survives_interrupts(bare):
    with bare() as session:
        ticks, bits = session.ask("f", answers=2)
        x, factor, step = np.float32(1.5), np.float64(np.float32(1.0001)), np.float32(0.001)
        for _ in range(1000):  # fused: one rounding
            x = np.float32(x * factor + step)
        assert ticks >= 3
        assert bits == x.view(np.uint32)


def test_sleeping_until_systick(bare):
    with bare() as session:
        cycles = session.ask("w")[0]
        assert 3 * 10_000 <= cycles < 3 * 10_000 + 200


def test_a_masked_interrupt_is_taken_later(bare, tracer):
    with bare() as session:
        assert session.ask("d", answers=2) == (0, 1)


def test_bytes_by_interrupt(bare):
    with bare() as session:
        session.line.write(b"q")
        time.sleep(0.05)
        session.line.write(b"ab")
        time.sleep(0.05)
        session.line.write(b"cd")
        assert session.line.read(8) == b"bcde" + struct.pack("<I", 4)


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_a_word_may_be_read_anywhere(bare, offset):
    with bare() as session:
        session.ask("l", offset)
        assert session.board.problem() is None


@pytest.mark.parametrize(
    ("command", "words", "cfsr", "said"),
    [
        ("r", (0x30100000,), 0x8200, "read of memory that is not there at address 0x30100000"),
        ("s", (0x30100000,), 0x8200, "write to memory that is not there at address 0x30100000"),
        ("r", (0x40001000,), 0x8200, "read of memory that is not there"),
        ("s", (0x08000100,), 0x8200, "write to flash at address 0x08000100"),
        ("j", (0x30100001,), 0x100, "a jump to where no memory is"),
        ("j", (0x40004801,), 0x1, "execution of what is no code"),
        ("j", (0x20001001,), 0x1, "execution of what is no code"),
        ("j", (0x0800F001,), 0x1, "execution of what is no code"),
        ("j", (0x08000100,), 0x20000, "a jump into Arm state"),
        ("u", (1,), 0x1000000, "unaligned access"),
        ("u", (2,), 0x1000000, "unaligned access"),
        ("p", (2,), 0x1000000, "unaligned access"),
        ("x", (), 0x10000, "undefined instruction"),
    ],
)
def test_faults_reach_the_firmware_and_the_log(bare, tracer, command, words, cfsr, said):
    with bare() as session:
        report = session.fault(command, *words)
        assert report["ipsr"] == 3 and report["hfsr"] == 0x40000000
        assert report["cfsr"] == cfsr
        if cfsr == 0x8200:
            assert report["bfar"] == words[0]
        assert report["exc_return"] in (0xFFFFFFF9, 0xFFFFFFE9)
        finding = session.machine.findings[0]
        assert said in str(finding) and finding.pc == report["pc"]
        if command in "rsx":
            assert "test_main+" in str(finding) or "command" in str(finding)
        if command == "j":
            assert "test_main+" in str(finding), "who jumped there"
        assert session.board.problem() == str(finding)


def test_the_unaligned_instruction_is_named(bare, tracer):
    with bare() as session:
        planted = session.machine.image.symbols
        report = session.fault("u", 1)
        code = session.machine.read_memory(report["pc"], 4)
        assert code[1] == 0xE9 and planted.at(report["pc"]) is not None  # LDRD


def test_a_reset_by_the_firmware(bare):
    with bare() as session:
        session.fault("x")
        session.line.write(b"R")
        assert session.line.read(1) == b"+"
        assert session.ask("e", 7) == (7,)


def test_the_fpu_must_be_enabled(compile_bare, tracer):
    elf = compile_bare("machine.c", "stm32h7", "-UNO_FPU", "-DNO_FPU=1")
    with VirtualBoard(elf, load_board("stm32h7")) as board:
        deadline = time.monotonic() + 10
        while board.problem() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "use of the FPU, which is not enabled" in board.problem()


def test_lockup_closes_the_line(bare):
    with bare() as session:
        session.line.write(b"k")
        with pytest.raises(serial.SerialException):
            while session.line.read(1):
                pass
        assert "no stack" in session.machine.dead
        assert "undefined instruction" in session.board.problem()


def test_a_client_may_come_and_go(bare):
    with bare() as session:
        session.ask("e", 1)
        session.line.close()
        session.connect()
        assert session.ask("e", 3) == (3,)


def test_firmware_of_another_board_is_refused(compile_bare, tmp_path):
    elf = compile_bare("machine.c")
    with pytest.raises(DeviceError, match=r"0x08000000.*Was it built for qemu-like"):
        toml = tmp_path / "qemu-like.toml"
        text = (load_board.__globals__["data_folder"]("boards") / "stm32h7.toml").read_text()
        text = text.replace('name = "stm32h7"', 'name = "qemu-like"')
        toml.write_text(text.replace("address = 0x0800_0000", "address = 0x0900_0000"))
        VirtualBoard(elf, load_board(toml))


def test_what_is_no_firmware_is_refused(tmp_path):
    board = load_board("stm32h7")
    junk = tmp_path / "junk.elf"
    junk.write_bytes(b"\x7fELF junk")
    with pytest.raises(DeviceError, match="cannot be read"):
        open_board(junk, board)
    with pytest.raises(BoardError, match="no firmware"):
        open_board(tmp_path / "missing.elf", board)
    with pytest.raises(DeviceError, match="no firmware for an Arm core"):
        from pathlib import Path

        open_board(Path("/bin/true").resolve(), board)
    with pytest.raises(BoardError, match="no virtual twin"):
        open_board(junk, load_board("host"))
