"""The virtual UARTs: every family of registers, in Python and in C."""

from __future__ import annotations

import ctypes

import pytest

from tinyvision.device.virtual.native_uart import NativeUart
from tinyvision.device.virtual.uart import FAMILIES, UartModel
from tinyvision.errors import BoardError
from tinyvision.native import library


class Native:
    """Registers of a ``NativeUart`` as the emulator would access them."""

    def __init__(self, uart: NativeUart) -> None:
        self._library, self._user = library(), ctypes.byref(uart._shared)
        self._library.tv_uart_read.restype = ctypes.c_uint64
        self.fetch, self.flush, self.reset = uart.fetch, uart.flush, uart.reset

    def read(self, offset: int) -> int:
        where = ctypes.c_uint64(offset)
        return self._library.tv_uart_read(None, where, 4, self._user) & 0xFFFFFFFF

    def write(self, offset: int, value: int) -> None:
        where, bits = ctypes.c_uint64(offset), ctypes.c_uint64(value)
        self._library.tv_uart_write(None, where, 4, bits, self._user)


@pytest.fixture(params=["python", "native"])
def connect(request):
    """``connect(family, incoming, sent)``: a UART that gets ``incoming`` and fills ``sent``."""

    def make(family: str, incoming: bytearray, sent: bytearray):
        def receive(_: bool) -> bytes:
            data = bytes(incoming)
            incoming.clear()
            return data

        if request.param == "python":
            return UartModel(family, receive, sent.extend)
        if library() is None:
            pytest.skip("needs a C compiler")
        uart = NativeUart(library(), family, receive, sent.extend)
        native = Native(uart)
        native.keep = uart
        return native

    return make


@pytest.mark.parametrize("name", FAMILIES)
def test_bytes_go_in_and_out(connect, name):
    family = FAMILIES[name]
    incoming, sent = bytearray(b"ab"), bytearray()
    uart = connect(name, incoming, sent)

    def has_byte() -> bool:
        status = uart.read(family.status)
        assert status & family.always == family.always
        return bool(status & family.received) or bool(family.empty and not status & family.empty)

    assert not has_byte()
    uart.fetch(wait=False)
    assert has_byte() and uart.read(family.data_in) == ord("a")
    assert has_byte() and uart.read(family.data_in) == ord("b")
    assert not has_byte()
    for byte in b"xyz":
        uart.write(family.data_out, byte)
    uart.flush()
    assert sent == b"xyz"


@pytest.mark.parametrize("name", FAMILIES)
def test_registers_remember_unless_they_are_fixed(connect, name):
    family = FAMILIES[name]
    uart = connect(name, bytearray(), bytearray())
    offset, mask = family.interrupt
    uart.write(offset, mask)
    assert uart.read(offset) == mask
    for register, value in family.fixed:
        uart.write(register, 0)
        assert uart.read(register) == value
    uart.reset()
    assert uart.read(offset) == 0
    assert [uart.read(register) for register, _ in family.fixed] == [v for _, v in family.fixed]


def test_waiting_for_a_byte_asks_the_host(connect):
    incoming = bytearray()
    uart = connect("pl011", incoming, bytearray())
    family = FAMILIES["pl011"]
    incoming += b"!"
    assert any(not uart.read(family.status) & family.empty for _ in range(20))
    assert uart.read(family.data_in) == ord("!")


def test_an_unknown_family_is_refused():
    with pytest.raises(BoardError, match=r"'tape'.*stm32_v1.*pl011"):
        UartModel("tape", lambda _: b"", lambda _: None)
