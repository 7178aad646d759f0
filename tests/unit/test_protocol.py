"""Frames and messages: what is sent arrives, and nothing that arrives does harm."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import fake_agent
from tinyvision.device.protocol import (
    MAX_ENCODED,
    MAX_PAYLOAD,
    Decoder,
    Fault,
    Frame,
    Identity,
    Memory,
    ProtocolError,
    SelfTest,
    TensorInfo,
    decode,
    encode,
)

FRAMES = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=MAX_PAYLOAD))
PARSERS = (Identity.parse, TensorInfo.parse, Memory.parse, SelfTest.parse, Fault.parse)


@given(FRAMES)
def test_frame_survives_the_wire(frame):
    wire = encode(frame)
    assert wire[-1] == 0 and 0 not in wire[:-1]
    assert decode(wire[:-1]) == frame


def test_known_frame():
    # seq 1, IDENTIFY; CRC-32 of 01 01 is 0x58D4B4FC by an independent implementation (zlib's table)
    wire = encode(Frame(1, 1, b""))
    crc = 0xFFFFFFFF
    for byte in (1, 1):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    assert wire == bytes((7, 1, 1)) + struct.pack("<I", crc) + b"\0"


@given(st.lists(FRAMES, max_size=5), st.data())
def test_decoder_takes_any_pieces(frames, data):
    stream = b"".join(encode(frame) for frame in frames)
    decoder, got = Decoder(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert got == frames and decoder.bad_frames == 0


@given(FRAMES, st.binary(min_size=1, max_size=100).filter(lambda b: 0 not in b), FRAMES)
def test_garbage_costs_at_most_the_frame_it_touches(first, garbage, second):
    decoder = Decoder()
    stream = encode(first) + garbage + encode(second) + encode(first)
    assert decoder.feed(stream)[0] == first
    assert decoder.feed(encode(second)) == [second]


@given(FRAMES, st.data())
def test_flipped_bits_are_noticed(frame, data):
    wire = bytearray(encode(frame))
    position = data.draw(st.integers(0, len(wire) - 2))
    flipped = wire[position] ^ 1 << data.draw(st.integers(0, 7))
    wire[position] = flipped
    got = Decoder().feed(bytes(wire))
    assert got == [] or (flipped == 0 and frame not in got)


@given(FRAMES, st.integers(1, 20))
def test_truncated_frames_are_noticed(frame, cut):
    wire = encode(frame)
    assert Decoder().feed(wire[: max(0, len(wire) - 1 - cut)] + b"\0") == []


def test_endless_garbage_takes_no_memory():
    decoder = Decoder()
    for _ in range(1000):
        assert decoder.feed(b"\x55" * 4096) == []
    assert len(decoder._pending) <= MAX_ENCODED
    assert decoder.feed(b"\0" + encode(Frame(1, 2, b"x"))) == [Frame(1, 2, b"x")]
    assert decoder.bad_frames == 1


@given(st.binary(max_size=2 * MAX_ENCODED))
def test_random_bytes_are_no_frames(data):
    assert Decoder().feed(data + b"\0") == []


def test_too_long_a_body_is_a_bug_of_ours():
    with pytest.raises(ValueError, match="exceeds"):
        encode(Frame(1, 1, bytes(MAX_PAYLOAD + 1)))


def test_identity():
    who = Identity.parse(fake_agent.identity())
    assert (who.board, who.model, who.layers, who.clock_hz) == ("board", "fake", 3, 100_000_000)
    assert who.model_hash == fake_agent.HASH and who.has_cycle_counter


def test_control_characters_of_names_are_made_visible():
    who = Identity.parse(fake_agent.identity(model="\x1b[31m\n"))
    assert who.model == "\\x1b[31m\\n"


def test_tensor():
    info = TensorInfo.parse(fake_agent.tensor())
    assert info.shape == (1, 4, 4, 3) and info.elements == info.size_bytes == 48
    assert (info.scale, info.zero_point) == (0.5, 3)


@pytest.mark.parametrize(
    "message",
    [
        struct.pack("<BBB4iIfiBI", 9, 0, 4, 1, 4, 4, 3, 48, 0.5, 3, 0, 0),  # no such type
        struct.pack("<BBB4iIfiBI", 0, 0, 4, 1, 4, 4, -3, 48, 0.5, 3, 0, 0),  # negative extent
        struct.pack("<BBB4iIfiBI", 0, 0, 4, 1, 4, 4, 3, 47, 0.5, 3, 0, 0),  # wrong size
        struct.pack("<BBB4iIfiBI", 0, 0, 4, 2**30, 2**30, 2**30, 3, 0, 0.5, 3, 0, 0),
        struct.pack("<BBB7iIfiBI", 0, 0, 7, *[1] * 7, 1, 0.5, 3, 0, 0),  # too many axes
        fake_agent.tensor() + b"\0",
        fake_agent.tensor()[:-1],
    ],
)
def test_senseless_tensors_are_refused(message):
    with pytest.raises(ProtocolError):
        TensorInfo.parse(message)


def test_memory():
    memory = Memory.parse(struct.pack("<IIIIIIB", 10, 9, 20, 0, 100, 50, 0b10))
    assert [bank.touched_bytes for bank in memory.banks] == [9, 0]
    assert (memory.stack_peak_bytes, memory.damaged_guards) == (50, (1,))


def test_self_test_is_not_believed_when_it_contradicts_itself():
    assert not SelfTest.parse(struct.pack("<IIB", 1, 2, 1)).passed


def test_fault_in_words():
    fault = Fault.parse(fake_agent.fault())
    assert fault.layer == 1 and fault.address == 0x30100000
    assert fault.causes == ("access to an address with nothing behind it",)


@given(st.sampled_from(PARSERS), st.binary(max_size=300))
def test_any_message_is_parsed_or_refused(parse, message):
    with suppress(ProtocolError):
        parse(message)
