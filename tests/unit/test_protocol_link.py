"""The host's end of the line against agents that are silent, noisy, broken or somebody else."""

from __future__ import annotations

import os
import struct
import threading

import numpy as np
import pytest

from tests.support.fake_agent import (
    HANG_UP,
    FakeAgent,
    answer,
    behave,
    fault,
    identity,
)
from tinyvision.device import link as link_module
from tinyvision.device.link import FaultReport, Link, NoAnswer, Rejected
from tinyvision.device.protocol import RESPONSE, Command, Frame, Status, encode
from tinyvision.device.serial_target import SerialTarget
from tinyvision.device.symbols import Symbol, Symbols
from tinyvision.errors import DeviceError


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(link_module, "FIRST_REPLY_SECONDS", 0.05)


def test_a_sound_agent():
    with FakeAgent() as agent, Link(agent.port) as link:
        target = SerialTarget(link, model_hash=bytes(range(16)))
        target.feed([np.zeros((1, 4, 4, 3), np.int8)])
        assert target.run() == 1234
        assert target.fetch()[0].shape == (1, 4, 4, 3)
        assert target.profile() == [1, 2, 3]
        assert target.memory().stack_peak_bytes == 100
        assert target.self_test().passed
        assert link.resent == 0


def test_inputs_go_out_in_pieces():
    def big(request: Frame) -> bytes:
        if request.command == Command.TENSOR:
            message = struct.pack("<BBB2iIfiBI", 0, 4, 2, 1, 3000, 3000, 0.5, 3, 0, 0)
            return answer(request, message)
        return behave(request)

    values = np.arange(3000, dtype=np.float32).reshape(1, 3000)
    with FakeAgent(big) as agent, Link(agent.port) as link:
        SerialTarget(link).feed([values])
        writes = [f.body for f in agent.requests if f.command == Command.WRITE_INPUT]
    assert b"".join(body[5:] for body in writes) == values.astype("<f4").tobytes()
    offsets = [int.from_bytes(body[1:5], "little") for body in writes]
    assert offsets == [254 * i for i in range(len(writes))]
    assert all(len(body) <= 1024 for body in writes)


def test_a_silent_board():
    with FakeAgent(lambda request: b"") as agent, Link(agent.port) as link:
        with pytest.raises(NoAnswer, match="no answer to identify"):
            link.identify(within_seconds=0.2)
        assert len(agent.requests) == 4 and len({r.seq for r in agent.requests}) == 1


def test_noise_instead_of_an_agent():
    noise = bytes(range(256)) * 8
    with (
        FakeAgent(lambda request: noise) as agent,
        Link(agent.port) as link,
        pytest.raises(NoAnswer, match=r"not an agent.*broken frames"),
    ):
        link.identify(within_seconds=0.2)


def test_noise_before_an_agent():
    boot = b"\xff\x00\x13Hello, I am a bootloader\r\n\x00" + bytes(range(1, 256)) * 20
    with FakeAgent(greeting=boot) as agent, Link(agent.port) as link:
        assert link.identify().model == "fake"


def test_a_lost_answer_is_asked_for_again():
    seen: list[int] = []

    def forgetful(request: Frame) -> bytes:
        seen.append(request.seq)
        return behave(request) if seen.count(request.seq) > 1 else b""

    with FakeAgent(forgetful) as agent, Link(agent.port) as link:
        answered = link.request(Command.MEMORY, timeout_seconds=0.1)
        assert len(answered) == 17 and link.resent == 1


def test_a_damaged_answer_is_asked_for_again():
    count = 0

    def damaging(request: Frame) -> bytes:
        nonlocal count
        count += 1
        reply = bytearray(behave(request))
        if count == 1:
            reply[4] ^= 0x10
        return bytes(reply)

    with FakeAgent(damaging) as agent, Link(agent.port) as link:
        assert len(link.request(Command.MEMORY, timeout_seconds=0.1)) == 17
    assert count == 2


def test_a_damaged_request_is_sent_again_even_where_running_twice_is_not_allowed():
    count = 0

    def deaf_at_first(request: Frame) -> bytes:
        nonlocal count
        count += 1
        if count < 3:
            return encode(Frame(0, Command.BAD_FRAME | RESPONSE, bytes((Status.BAD_FRAME,))))
        return behave(request)

    with FakeAgent(deaf_at_first) as agent, Link(agent.port) as link:
        assert link.request(Command.RUN, bytes(4), attempts=1) == struct.pack("<Q", 1234)
    assert count == 3


def test_an_agent_that_finds_everything_damaged():
    bad = encode(Frame(0, Command.BAD_FRAME | RESPONSE, bytes((Status.BAD_FRAME,))))
    with FakeAgent(lambda request: bad) as agent, Link(agent.port) as link, pytest.raises(NoAnswer):
        link.request(Command.MEMORY, timeout_seconds=5)


def test_layers_are_never_run_twice():
    def silent_runs(request: Frame) -> bytes:
        return b"" if request.command == Command.RUN else behave(request)

    with FakeAgent(silent_runs) as agent, Link(agent.port) as link:
        with pytest.raises(NoAnswer):
            link.request(Command.RUN, bytes(4), timeout_seconds=0.1, attempts=1)
        assert [r.command for r in agent.requests].count(Command.RUN) == 1


def test_answers_to_others_are_ignored():
    def chatty(request: Frame) -> bytes:
        other = Frame(request.seq ^ 1, request.command, b"")
        stray = encode(Frame(request.seq, Command.RUN | RESPONSE, b"\0" + bytes(8)))
        empty = encode(Frame(request.seq, request.command | RESPONSE, b""))
        return answer(other, b"wrong") + stray + empty + behave(request)

    with FakeAgent(chatty) as agent, Link(agent.port) as link:
        assert len(link.request(Command.MEMORY)) == 17


def test_refusals_have_words():
    refuse = lambda request: answer(request, status=Status.OUT_OF_RANGE)  # noqa: E731
    with (
        FakeAgent(refuse) as agent,
        Link(agent.port) as link,
        pytest.raises(Rejected, match=r"refused memory.*out of range"),
    ):
        link.request(Command.MEMORY)
    strange = lambda request: answer(request, status=200)  # noqa: E731
    with (
        FakeAgent(strange) as agent,
        Link(agent.port) as link,
        pytest.raises(Rejected, match="unknown status 200"),
    ):
        link.request(Command.MEMORY)


def test_a_fault_is_told_with_its_symbol():
    def faulting(request: Frame) -> bytes:
        if request.command == Command.RUN:
            return encode(Frame(0, Command.FAULT | RESPONSE, b"\5" + fault(0x08000124)))
        return behave(request)

    symbols = Symbols([Symbol("layer_07", 0x08000100, 0x40, True)])
    with (
        FakeAgent(faulting) as agent,
        Link(agent.port, symbols=symbols) as link,
        pytest.raises(FaultReport) as caught,
    ):
        link.request(Command.RUN, bytes(4))
    text = str(caught.value)
    assert "layer_07+0x24" in text and "in layer 1" in text and "0x30100000" in text
    assert "called from" not in text


def test_what_the_virtual_board_saw_is_told_too():
    def faulting(request: Frame) -> bytes:
        return encode(Frame(0, Command.FAULT | RESPONSE, b"\5" + fault()))

    with (
        FakeAgent(faulting) as agent,
        Link(agent.port, witness=lambda: "a planted bug") as link,
        pytest.raises(FaultReport, match="saw: a planted bug"),
    ):
        link.request(Command.RUN, bytes(4))


def test_a_senseless_fault_report_is_still_a_fault():
    def faulting(request: Frame) -> bytes:
        return encode(Frame(0, Command.FAULT | RESPONSE, b"\5junk"))

    with (
        FakeAgent(faulting) as agent,
        Link(agent.port) as link,
        pytest.raises(FaultReport, match="unknown cause"),
    ):
        link.request(Command.RUN, bytes(4))


def test_a_board_that_faulted_before_says_so_and_restarts():
    def after_fault(request: Frame) -> bytes:
        if request.command == Command.FAULT:
            return answer(request, fault(), Status.FAULT)
        return answer(request, identity(), Status.FAULT)

    with FakeAgent(after_fault) as agent, Link(agent.port) as link:
        with pytest.raises(FaultReport, match="nothing behind it"):
            link.identify()
        assert agent.requests[-1].body == b"\1"


def test_another_model_on_the_board():
    other = lambda request: (  # noqa: E731
        answer(request, identity(model="other", model_hash=bytes(16)))
        if request.command == Command.IDENTIFY
        else behave(request)
    )
    with (
        FakeAgent(other) as agent,
        Link(agent.port) as link,
        pytest.raises(DeviceError, match=r"another model.*'other'.*tinyvision flash"),
    ):
        SerialTarget(link, model_hash=bytes(range(16)))


def test_firmware_of_another_board():
    with FakeAgent() as agent, Link(agent.port) as link:
        assert SerialTarget(link, board=link.identify().board).identity.layers == 3
    with (
        FakeAgent() as agent,
        Link(agent.port) as link,
        pytest.raises(DeviceError, match=r"is for .*, not for stm32q9"),
    ):
        SerialTarget(link, board="stm32q9")


def test_another_version_of_the_protocol():
    future = lambda request: answer(request, identity(protocol=9))  # noqa: E731
    with (
        FakeAgent(future) as agent,
        Link(agent.port) as link,
        pytest.raises(DeviceError, match="version 9"),
    ):
        SerialTarget(link)


def test_answers_that_make_no_sense():
    short = lambda request: answer(request, b"\1\2\3")  # noqa: E731
    with (
        FakeAgent(short) as agent,
        Link(agent.port) as link,
        pytest.raises(DeviceError, match="makes no sense"),
    ):
        link.identify()

    def short_runs(request: Frame) -> bytes:
        return answer(request, b"1") if request.command == Command.RUN else behave(request)

    with (
        FakeAgent(short_runs) as agent,
        Link(agent.port) as link,
        pytest.raises(DeviceError, match="1 bytes came where 8"),
    ):
        SerialTarget(link).run()


def test_the_connection_breaks():
    with (
        FakeAgent(lambda request: HANG_UP) as agent,
        Link(agent.port) as link,
        pytest.raises(DeviceError, match="connection broke"),
    ):
        link.identify()


def test_a_crash_is_told_by_the_witness():
    with FakeAgent(lambda request: HANG_UP) as agent:
        link = Link(agent.port, witness=lambda: "lockup")
        with link, pytest.raises(DeviceError, match="crashed: lockup"):
            link.identify()


def test_no_such_port():
    with pytest.raises(DeviceError, match=r"/dev/does-not-exist: there is no such port"):
        Link("/dev/does-not-exist")


def test_a_port_without_server():
    with FakeAgent() as agent:
        port = agent.port
    with pytest.raises(DeviceError, match="cannot be reached"):
        Link(port)


def test_a_port_url_of_nonsense():
    with pytest.raises(DeviceError):
        Link("socket://")
    with pytest.raises(DeviceError):
        Link("nonsense://x")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs ptys")
def test_a_busy_port():
    master, slave = os.openpty()
    try:
        name = os.ttyname(slave)
        with Link(name), pytest.raises(DeviceError, match="busy"):
            Link(name)
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs ptys")
def test_a_pty_serves_as_a_port():
    import tty

    from tinyvision.device.protocol import Decoder

    master, slave = os.openpty()
    tty.setraw(slave)

    def serve() -> None:
        decoder = Decoder()
        while not (frames := decoder.feed(os.read(master, 4096))):
            pass
        os.write(master, behave(frames[0]))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with Link(os.ttyname(slave)) as link:
            assert link.identify().board == "board"
        thread.join(5)
    finally:
        os.close(master)
        os.close(slave)
