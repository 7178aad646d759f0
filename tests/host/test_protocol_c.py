"""The agent's C on this machine, under sanitizers, against the host's own side of the protocol."""

from __future__ import annotations

import struct
import zlib

import pytest

from tests.fuzz.fuzz_serial import fuzz
from tests.support import fake_model
from tests.support.host_agent import HostAgent, build_host_agent
from tinyvision.device.protocol import (
    MAX_PAYLOAD,
    Command,
    Fault,
    Frame,
    Identity,
    Memory,
    SelfTest,
    Status,
    TensorInfo,
    encode,
)
from tinyvision.ir.types import DType


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return build_host_agent(tmp_path_factory.mktemp("agent"))


@pytest.fixture
def agent(program):
    with HostAgent(program) as running:
        yield running


def ok(answer: bytes) -> bytes:
    assert answer[0] == Status.OK
    return answer[1:]


def test_it_says_who_it_is(agent):
    identity = Identity.parse(ok(agent.request(Command.IDENTIFY)))
    assert identity.board == "host"
    assert identity.model == fake_model.NAME
    assert identity.model_hash == fake_model.HASH
    assert (identity.layers, identity.inputs, identity.outputs) == (3, 2, 2)
    assert identity.max_payload == MAX_PAYLOAD
    assert not identity.has_cycle_counter


def test_it_describes_tensors(agent):
    info = TensorInfo.parse(ok(agent.request(Command.TENSOR, b"\0\1")))
    assert (info.dtype, info.external, info.shape) == (DType.INT8, DType.FLOAT32, (1, 16))
    assert (info.scale, info.zero_point, info.offset) == (0.5, 3, 48)


def test_float_input_is_rounded_away_from_zero_and_saturated(agent):
    values = [0.25, -0.25, 0.24, 1e9, -1e9, float("inf"), float("nan"), 62.0]
    ok(agent.request(Command.WRITE_INPUT, struct.pack(f"<BI{len(values)}f", 1, 4, *values)))
    stored = ok(agent.request(Command.READ_ARENA, struct.pack("<BIH", 0, 52, len(values))))
    assert struct.unpack("8b", stored) == (4, 2, 3, 127, -128, 127, 3, 127)


def test_answers_longer_than_a_block_of_the_stuffing(agent):
    """Runs of 253 to 255 bytes without a zero end a block in each of the ways there are."""
    memory = b""
    for offset in range(0, 1200, 400):
        memory += ok(agent.request(Command.READ_ARENA, struct.pack("<BIH", 0, offset, 400)))
    longest = max(len(run) for run in memory.split(b"\0"))
    assert longest > 260, "the paint has too many zeros for this test"
    start = next(i for i in range(1200) if b"\0" not in memory[i : i + 260])
    for count in (249, 250, 251, 252, 253, 254, 255, 256):
        request = struct.pack("<BIH", 0, start, count)
        assert ok(agent.request(Command.READ_ARENA, request)) == memory[start : start + count]


def test_known_answer_and_cycles(agent):
    result = SelfTest.parse(ok(agent.request(Command.SELF_TEST)))
    assert result.passed
    assert result.computed == fake_model.known_answer()
    # The host's counter advances by 100 a reading, which is what an empty layer takes.
    assert ok(agent.request(Command.PROFILE, struct.pack("<HH", 0, 3))) == bytes(12)
    assert ok(agent.request(Command.RUN, struct.pack("<HH", 1, 2))) == bytes(8)


def test_memory_counts_what_was_touched(agent):
    before = Memory.parse(ok(agent.request(Command.MEMORY)))
    assert (before.banks[0].size_bytes, before.banks[0].touched_bytes) == (1200, 0)
    ok(agent.request(Command.WRITE_INPUT, struct.pack("<BI", 0, 0) + bytes(range(48))))
    ok(agent.request(Command.RUN, struct.pack("<HH", 0, 1)))
    after = Memory.parse(ok(agent.request(Command.MEMORY)))
    assert after.banks[0].touched_bytes == 96
    ok(agent.request(Command.PAINT))
    kept = Memory.parse(ok(agent.request(Command.MEMORY)))
    assert kept.banks[0].touched_bytes == 48, "inputs stay, everything else is painted"
    assert ok(agent.request(Command.READ_ARENA, struct.pack("<BIH", 0, 0, 48))) == bytes(range(48))


@pytest.mark.parametrize(
    ("command", "payload", "status"),
    [
        (0x3F, b"", Status.UNKNOWN_COMMAND),
        (0x00, b"", Status.UNKNOWN_COMMAND),
        (Command.IDENTIFY, b"x", Status.BAD_LENGTH),
        (Command.TENSOR, b"\0\2", Status.OUT_OF_RANGE),
        (Command.WRITE_INPUT, b"\1\0\0\0\0abc", Status.BAD_LENGTH),
        (Command.WRITE_INPUT, struct.pack("<BI", 0, 48) + b"a", Status.OUT_OF_RANGE),
        (Command.WRITE_INPUT, struct.pack("<BI", 0, 2**32 - 1) + b"ab", Status.OUT_OF_RANGE),
        (Command.RUN, struct.pack("<HH", 65535, 65535), Status.OUT_OF_RANGE),
        (Command.READ_ARENA, struct.pack("<BIH", 0, 1200, 1), Status.OUT_OF_RANGE),
        (Command.READ_ARENA, struct.pack("<BIH", 0, 2**32 - 1, 2), Status.OUT_OF_RANGE),
        (Command.READ_OUTPUT, struct.pack("<BIH", 0, 0, 49), Status.OUT_OF_RANGE),
        (Command.FAULT, b"\2", Status.OUT_OF_RANGE),
    ],
)
def test_refusals(agent, command, payload, status):
    assert agent.request(command, payload) == bytes([status])


def test_no_fault_is_reported_where_none_was(agent):
    fault = Fault.parse(ok(agent.request(Command.FAULT)))
    assert (fault.kind, fault.layer) == (0, None)


@pytest.mark.parametrize("length", [1032, 1033, 5000])
def test_frames_that_are_too_long_are_answered_as_broken(agent, length):
    content = bytes(range(1, 255)) * (length // 254 + 1)
    content = content[: length - 4]
    wire = _stuffed(content + struct.pack("<I", zlib.crc32(content)))
    answers = agent.exchange([wire], Frame(7, Command.IDENTIFY, b""))
    # A frame of the largest size is taken, and its command 2 refuses the length.
    wanted = (0x82, Status.BAD_LENGTH) if length == 1032 else (0xFF, Status.BAD_FRAME)
    assert [(a.command, a.body[0]) for a in answers] == [wanted, (0x81, Status.OK)]


def test_a_frame_cut_short_costs_one_resend(agent):
    wire = encode(Frame(9, Command.IDENTIFY, b""))
    answers = agent.exchange([wire[:5]], Frame(9, Command.IDENTIFY, b""))
    assert [a.body[0] for a in answers] == [Status.BAD_FRAME, Status.OK]


def test_random_and_mutated_frames(program):
    statuses = fuzz(4000, seed=1, program=program)
    assert set(statuses) == {
        "OK",
        "BAD_FRAME",
        "BAD_LENGTH",
        "OUT_OF_RANGE",
        "UNKNOWN_COMMAND",
    }


def _stuffed(content: bytes) -> bytes:
    from cobs import cobs

    return bytes(cobs.encode(content)) + b"\0"
