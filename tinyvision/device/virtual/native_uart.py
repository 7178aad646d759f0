"""The UART's registers in C (``native/uart.c``), bound through ctypes: fast, otherwise equal."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from unicorn import Uc
from unicorn.unicorn_py3.unicorn import uclib

from tinyvision.device.virtual.uart import IDLE_POLLS, UartModel

_IN_BYTES, _OUT_BYTES = 8192, 4096
_ACTION = ctypes.CFUNCTYPE(None)
_READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
_WRITE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)


class _Uart(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint32) for name in ("status", "always", "received", "empty")),
        *((name, ctypes.c_uint32) for name in ("data_in", "data_out", "idle_polls")),
        *((name, ctypes.c_uint32) for name in ("in_position", "in_length", "out_length", "polls")),
        ("accesses", ctypes.c_uint32),
        ("wait", _ACTION),
        ("flush", _ACTION),
        ("read", _READ),
        ("write", _WRITE),
        ("inward", ctypes.c_uint8 * _IN_BYTES),
        ("outward", ctypes.c_uint8 * _OUT_BYTES),
    )


class NativeUart(UartModel):
    """A ``UartModel`` whose registers are mapped by ``map`` instead of served by ``read``."""

    def __init__(
        self,
        library: ctypes.CDLL,
        driver: str,
        receive: Callable[[bool], bytes],
        send: Callable[[bytes], None],
    ) -> None:
        super().__init__(driver, receive, send)
        family = self.family
        self._library = library
        self._shared = _Uart(
            family.status,
            family.always,
            family.received,
            family.empty,
            family.data_in,
            family.data_out,
            IDLE_POLLS,
            wait=_ACTION(lambda: self.fetch(wait=True)),
            flush=_ACTION(self.flush),
            read=_READ(lambda offset: self._registers.get(offset, 0)),
            write=_WRITE(self._store),
        )

    def map(self, machine: Uc, address: int, size: int) -> None:
        """Puts the registers into the address space."""
        status = uclib.uc_mmio_map(
            machine._uch,
            ctypes.c_uint64(address),
            ctypes.c_size_t(size),
            ctypes.cast(self._library.tv_uart_read, ctypes.c_void_p),
            ctypes.byref(self._shared),
            ctypes.cast(self._library.tv_uart_write, ctypes.c_void_p),
            ctypes.byref(self._shared),
        )
        if status:
            raise RuntimeError(f"Unicorn refused the UART's registers: error {status}")

    def fetch(self, wait: bool) -> None:
        shared = self._shared
        super().fetch(wait and not self._incoming)
        if shared.in_position == shared.in_length and self._incoming:
            data = bytes(self._incoming[:_IN_BYTES])
            del self._incoming[:_IN_BYTES]
            ctypes.memmove(shared.inward, data, len(data))
            shared.in_position, shared.in_length = 0, len(data)

    def flush(self) -> None:
        length = self._shared.out_length
        if length:
            self._shared.out_length = 0
            self._send(bytes(self._shared.outward[:length]))

    @property
    def accesses(self) -> int:
        return int(self._shared.accesses)

    @property
    def has_byte(self) -> bool:
        return bool(self._shared.in_position < self._shared.in_length or self._incoming)
