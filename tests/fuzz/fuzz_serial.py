"""Random and mutated frames against the firmware's agent, on this machine under sanitizers.

``python -m tests.fuzz.fuzz_serial --count 100000 --seed 0``

The agent must stay alive, answer every sound frame, in order, with the status that the protocol
asks for, answer IDENTIFY after every batch, and never touch memory that isn't its network's.
"""

from __future__ import annotations

import argparse
import random
import struct
import tempfile
from collections import Counter
from pathlib import Path

from cobs import cobs

from tests.support import fake_model
from tests.support.host_agent import HostAgent, build_host_agent
from tinyvision.device.protocol import MAX_PAYLOAD, Command, Decoder, Frame, Memory, Status, encode

BATCH = 20
PAYLOAD_BYTES = {
    Command.IDENTIFY: 0,
    Command.TENSOR: 2,
    Command.RUN: 4,
    Command.READ_OUTPUT: 7,
    Command.READ_ARENA: 7,
    Command.PROFILE: 4,
    Command.MEMORY: 0,
    Command.PAINT: 0,
    Command.SELF_TEST: 0,
    Command.FAULT: 1,
}
USED_BYTES = 128
"""Of the fake network's bank; the rest must keep its paint."""


def fuzz(count: int, seed: int, program: Path) -> Counter[str]:
    """Sends ``count`` frames; how many answers came with which status. AssertionError on a bug."""
    rng = random.Random(seed)
    statuses: Counter[str] = Counter()
    with HostAgent(program) as agent:
        for first in range(0, count, BATCH):
            wires = [b"\0" + _wire(rng) for _ in range(min(BATCH, count - first))]
            answers = agent.exchange(wires, Frame(rng.randrange(1, 256), Command.IDENTIFY, b""))
            _check_answers(wires, answers[:-1])
            statuses.update(Status(answer.body[0]).name for answer in answers)
            assert answers[-1].body[0] == Status.OK, "IDENTIFY was refused"
            _check_memory(agent)
        _check_result(agent, rng)
    return statuses


def _check_answers(wires: list[bytes], answers: list[Frame]) -> None:
    """What the line carried, decoded by the host's own decoder, must have been answered so."""
    sound = Decoder().feed(b"".join(wires) + b"\0")
    wanted = [(frame.seq, frame.command | 0x80, _status(frame)) for frame in sound]
    given = [(a.seq, a.command, Status(a.body[0])) for a in answers]
    broken = (0, Command.BAD_FRAME | 0x80, Status.BAD_FRAME)
    given = [answer for answer in given if answer != broken]
    assert given == wanted, f"answers {given}, not {wanted}"


def _status(frame: Frame) -> Status:
    """What docs/protocol.md says of a request to the fake network."""
    body = frame.body
    if frame.command == Command.WRITE_INPUT:
        if len(body) < 5:
            return Status.BAD_LENGTH
        index, first = struct.unpack("<BI", body[:5])
        if index > 1:
            return Status.OUT_OF_RANGE
        count, rest = divmod(len(body) - 5, 4 if index else 1)
        if rest:
            return Status.BAD_LENGTH
        elements = fake_model.INPUT1_BYTES if index else fake_model.INPUT0_BYTES
        return Status.OK if first + count <= elements else Status.OUT_OF_RANGE
    if frame.command == Command.FAULT:
        if len(body) > 1:
            return Status.BAD_LENGTH
        return Status.OUT_OF_RANGE if body > b"\x01" else Status.OK
    if frame.command not in PAYLOAD_BYTES:
        return Status.UNKNOWN_COMMAND
    if len(body) != PAYLOAD_BYTES[Command(frame.command)]:
        return Status.BAD_LENGTH
    good = True
    if frame.command == Command.TENSOR:
        good = body[0] <= 1 and body[1] <= 1
    elif frame.command in (Command.RUN, Command.PROFILE):
        good = sum(struct.unpack("<HH", body)) <= len(fake_model.LAYERS)
    elif frame.command in (Command.READ_OUTPUT, Command.READ_ARENA):
        index, first, count = struct.unpack("<BIH", body)
        sizes = (
            (fake_model.OUTPUT0_BYTES, fake_model.OUTPUT1_BYTES)
            if frame.command == Command.READ_OUTPUT
            else (fake_model.BANK0_BYTES,)
        )
        good = index < len(sizes) and first + count <= sizes[index] and count <= MAX_PAYLOAD
    return Status.OK if good else Status.OUT_OF_RANGE


def _check_memory(agent: HostAgent) -> None:
    memory = Memory.parse(agent.request(Command.MEMORY)[1:])
    assert not memory.damaged_guards, f"guards of banks {memory.damaged_guards} were overwritten"
    assert memory.banks[0].touched_bytes <= USED_BYTES, "memory of nobody was written"


def _check_result(agent: HostAgent, rng: random.Random) -> None:
    """After everything the network still computes what it should."""
    first, second = rng.randbytes(fake_model.INPUT0_BYTES), rng.randbytes(fake_model.INPUT1_BYTES)
    scaled = [
        (byte - 256 * (byte > 127) - fake_model.ZERO_POINT) * fake_model.SCALE for byte in second
    ]
    header = struct.pack("<BI", 0, 0)
    assert agent.request(Command.WRITE_INPUT, header + first) == b"\0"
    floats = struct.pack(f"<BI{len(scaled)}f", 1, 0, *scaled)
    assert agent.request(Command.WRITE_INPUT, floats) == b"\0"
    assert agent.request(Command.RUN, struct.pack("<HH", 0, 3))[0] == Status.OK
    sums, negatives = fake_model.outputs(first, second)
    read = struct.pack("<BIH", 0, 0, len(sums))
    assert agent.request(Command.READ_OUTPUT, read) == b"\0" + sums
    read = struct.pack("<BIH", 1, 0, len(negatives))
    shifted = bytes(byte ^ 0x80 for byte in negatives)
    assert agent.request(Command.READ_OUTPUT, read) == b"\0" + shifted


def _wire(rng: random.Random) -> bytes:
    """Bytes for the line: garbage, a sound frame, or a frame that something happened to."""
    kind = rng.randrange(10)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 200)) + b"\0"
    if kind == 1:  # stuffing that is sound around nonsense, too long at times
        return bytes(
            cobs.encode(rng.randbytes(rng.choice((0, 1, 3, 5, 6, 300, 1031, 1500)))) + b"\0"
        )
    wire = encode(_request(rng))
    if kind <= 6:
        return wire
    broken = bytearray(wire)
    if kind == 7:
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
    elif kind == 8:
        del broken[rng.randrange(len(broken)) :]
    else:
        at = rng.randrange(len(broken))
        broken[at:at] = rng.randbytes(rng.randrange(1, 30))
    return bytes(broken)


def _request(rng: random.Random) -> Frame:
    """A frame with a good checksum: a command as it should be, or with a payload of any kind."""
    if rng.randrange(8) == 0:
        command = rng.randrange(256)
    else:
        command = rng.choice([*list(PAYLOAD_BYTES), Command.WRITE_INPUT])
    if command == Command.WRITE_INPUT:
        index, offset = rng.choice((0, 1, 1, 2, 255)), _edge(rng, 32)
        payload = struct.pack("<BI", index, offset) + rng.randbytes(rng.choice((0, 1, 4, 48, 64)))
    elif command in PAYLOAD_BYTES and rng.randrange(4):
        fields = {
            Command.TENSOR: lambda: struct.pack("<BB", rng.randrange(3), rng.randrange(4)),
            Command.RUN: lambda: struct.pack("<HH", _edge(rng, 16), _edge(rng, 16)),
            Command.PROFILE: lambda: struct.pack("<HH", _edge(rng, 16), _edge(rng, 16)),
            Command.READ_OUTPUT: lambda: struct.pack(
                "<BIH", rng.randrange(3), _edge(rng, 32), _edge(rng, 16)
            ),
            Command.READ_ARENA: lambda: struct.pack(
                "<BIH", rng.randrange(2), _edge(rng, 32), _edge(rng, 16)
            ),
        }
        make = fields.get(Command(command))
        payload = make() if make else rng.randbytes(PAYLOAD_BYTES[Command(command)])
    else:
        payload = rng.randbytes(rng.choice((0, 1, 2, 4, 7, 8, 100, 1024)))
    return Frame(rng.randrange(256), command, payload)


def _edge(rng: random.Random, bits: int) -> int:
    """A number where mistakes live: small, around the network's sizes, around a power of two."""
    if rng.randrange(3):
        return rng.choice(
            (
                0,
                1,
                2,
                3,
                15,
                16,
                17,
                47,
                48,
                49,
                63,
                64,
                128,
                254,
                255,
                1023,
                1024,
                1025,
                1199,
                1200,
                1201,
            )
        )
    if rng.randrange(2):
        return rng.getrandbits(bits)
    return (1 << rng.randrange(bits + 1)) - 1


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        program = build_host_agent(Path(folder))
        statuses = fuzz(arguments.count, arguments.seed, program)
    print(f"{arguments.count} frames, answers: {dict(sorted(statuses.items()))}")


if __name__ == "__main__":
    main()
