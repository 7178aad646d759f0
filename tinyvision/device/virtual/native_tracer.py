"""The tracer in C (``native/tracer.c``), bound through ctypes."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence

from unicorn import UC_HOOK_BLOCK, Uc
from unicorn.unicorn_py3.unicorn import uclib

from tinyvision.cycles import NativeEngine, PythonEngine
from tinyvision.device.virtual.blocks import alignment_checks
from tinyvision.device.virtual.native_hook import add_native_hook
from tinyvision.device.virtual.tracer import NO_LIMIT, REGISTERS, Block, Code, Halt

_ANALYSE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)


class _Memory(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("bytes", ctypes.c_void_p),
    )


class _Range(ctypes.Structure):
    _fields_ = (("address", ctypes.c_uint32), ("end", ctypes.c_uint32))


class _Block(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint32)
        for name in ("address", "size", "instructions", "first_check", "checks", "uses_fpu")
    )


class _Tracer(ctypes.Structure):
    _fields_ = (
        ("memory", ctypes.POINTER(_Memory)),
        ("code", ctypes.POINTER(_Range)),
        ("memories", ctypes.c_uint32),
        ("codes", ctypes.c_uint32),
        ("emu_stop", ctypes.c_void_p),
        ("reg_read", ctypes.c_void_p),
        ("analyse", _ANALYSE),
        ("registers", ctypes.c_int32 * 16),
        ("stop", ctypes.c_uint32),
        ("fpu_enabled", ctypes.c_uint32),
        ("limit", ctypes.c_uint64),
        ("clock", ctypes.POINTER(ctypes.c_uint64)),
        ("instructions", ctypes.c_uint64),
        ("blocks", ctypes.c_uint64),
        ("reason", ctypes.c_uint32),
        ("reason_pc", ctypes.c_uint32),
        ("current", _Block),
    )


class NativeTracer:
    """A ``Tracer``. ``memories``: address, size and host address of everything executable."""

    def __init__(
        self,
        library: ctypes.CDLL,
        code: tuple[Code, ...],
        memories: Sequence[tuple[int, int, int]],
        read: Callable[[int, int], bytes],
    ) -> None:
        self._library = library
        library.tv_tracer_new.restype = ctypes.POINTER(_Tracer)
        library.tv_tracer_free.argtypes = (ctypes.POINTER(_Tracer),)
        library.tv_tracer_add_check.argtypes = (
            ctypes.POINTER(_Tracer),
            *(ctypes.c_uint32,) * 4,
        )
        self._pointer = library.tv_tracer_new()
        if not self._pointer:
            raise MemoryError
        weakref.finalize(self, library.tv_tracer_free, self._pointer)
        shared = self._shared = self._pointer.contents
        self._memories = (_Memory * len(memories))(*(_Memory(*m) for m in memories))
        self._code = (_Range * len(code))(*(_Range(c.address, c.end) for c in code))
        self._analyse = _ANALYSE(self._add_checks)
        self._read = read
        shared.memory, shared.memories = self._memories, len(memories)
        shared.code, shared.codes = self._code, len(code)
        shared.emu_stop = ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value
        shared.reg_read = ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value
        shared.analyse = self._analyse
        shared.registers = (ctypes.c_int32 * 16)(*REGISTERS)
        shared.limit = NO_LIMIT

    def follow(self, engine: NativeEngine | PythonEngine) -> None:
        if not isinstance(engine, NativeEngine):
            raise TypeError("the tracer in C goes with the engine in C")
        self._shared.clock = engine.clock

    def install(self, machine: Uc) -> None:
        add_native_hook(machine, UC_HOOK_BLOCK, self._library.tv_tracer_block, self._pointer)

    @property
    def instructions(self) -> int:
        return int(self._shared.instructions)

    @instructions.setter
    def instructions(self, value: int) -> None:
        self._shared.instructions = value

    @property
    def blocks(self) -> int:
        return int(self._shared.blocks)

    @blocks.setter
    def blocks(self, value: int) -> None:
        self._shared.blocks = value

    @property
    def limit(self) -> int:
        return int(self._shared.limit)

    @limit.setter
    def limit(self, value: int) -> None:
        self._shared.limit = value

    @property
    def fpu_enabled(self) -> bool:
        return bool(self._shared.fpu_enabled)

    @fpu_enabled.setter
    def fpu_enabled(self, value: bool) -> None:
        self._shared.fpu_enabled = value

    @property
    def current(self) -> Block:
        block = self._shared.current
        return Block(block.address, block.size, block.instructions)

    @property
    def halt(self) -> tuple[Halt, int]:
        return Halt(self._shared.reason), int(self._shared.reason_pc)

    def request_stop(self, stop: bool = True) -> None:
        self._shared.stop = stop

    def resume(self) -> None:
        self._shared.reason = Halt.NONE
        self._shared.current.checks = 0

    def _add_checks(self, address: int, size: int) -> None:
        for check in alignment_checks(self._read(address, size), address):
            self._library.tv_tracer_add_check(
                self._pointer, check.pc, check.packed, check.constant, check.at_end
            )
