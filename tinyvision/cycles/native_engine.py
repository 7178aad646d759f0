"""The engine in C (``native/engine.c``), bound through ctypes."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence

from tinyvision.cycles.costs import Cost, InstructionCost
from tinyvision.cycles.microop import Cause, MicroOp, Watch
from tinyvision.cycles.parameters import Parameters
from tinyvision.target.timing import CacheTiming, FlashTiming

_DECODE = ctypes.CFUNCTYPE(None, ctypes.c_uint32)
_WATCH = ctypes.CFUNCTYPE(None, *(ctypes.c_uint32,) * 4)
_CORE_FIELDS = (
    "pipeline",
    "branch",
    "branch_register",
    "load_pc",
    "wide_target",
    "unaligned_run",
    "store_to_load",
    "load_to_use",
    "other_memory",
    "unaligned_access",
    "mac",
    "multiply_long",
    "mac_long",
    "divide",
    "fp_mac",
    "fp_divide",
    "fp_result",
    "barrier",
    "system",
    "mispredict",
    "mispredict_early",
    "retarget",
)
_FLASH_FIELDS = (
    "wait_states",
    "fetch_extra",
    "data_extra",
    "data_next",
    "prefetch",
    "prefetch_lead",
    "line_bytes",
    "line_fill",
    "write_back",
    "data_buffer",
    "line_busy",
)

_BYTE_FIELDS = ("size", "kind", "transfers", "width", "registers", "base", "index", "shift")
_MASK_FIELDS = ("sources", "address_sources", "special_sources", "results", "base_result")
_OP_FIELDS = ("address", "flags", *_BYTE_FIELDS, "offset", *_MASK_FIELDS)


class _Core(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int32) for name in _CORE_FIELDS)


class _Flash(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int32) for name in _FLASH_FIELDS)


class _CacheShape(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int32) for name in ("line_bytes", "sets", "ways"))


class _Memory(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("kind", ctypes.c_int32),
        ("read", ctypes.c_int32),
        ("write", ctypes.c_int32),
    )


class _MicroOp(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        *((name, ctypes.c_uint8) for name in _BYTE_FIELDS),
        ("offset", ctypes.c_int32),
        *((name, ctypes.c_uint64) for name in _MASK_FIELDS),
    )


class _Cost(ctypes.Structure):
    _fields_ = (
        ("executions", ctypes.c_uint64),
        ("cycles", ctypes.c_uint64),
        ("stalls", ctypes.c_uint64 * len(Cause)),
    )


class _Engine(ctypes.Structure):
    """The part that the host sees."""

    _fields_ = (
        ("clock", ctypes.c_uint64),
        ("total", _Cost),
        ("ops", ctypes.c_uint64),
        ("op", ctypes.POINTER(_MicroOp)),
        ("cost", ctypes.POINTER(_Cost)),
        ("reg_read", ctypes.c_void_p),
        ("decode", _DECODE),
        ("registers", ctypes.c_int32 * 16),
        ("watch", _WATCH),
        ("watch_address", ctypes.c_uint32),
        ("watch_bytes", ctypes.c_uint32),
    )


class NativeEngine:
    """An ``Engine``; ``decode`` gives the instructions from an address on."""

    def __init__(
        self,
        library: ctypes.CDLL,
        parameters: Parameters,
        decode: Callable[[int], Sequence[MicroOp]],
    ) -> None:
        self.library = _declare(library)
        self._decode = decode
        self.pointer = library.tv_engine_new()
        if not self.pointer:
            raise MemoryError
        weakref.finalize(self, library.tv_engine_free, self.pointer)
        self._callback = _DECODE(self._add)
        self.pointer.contents.decode = self._callback
        core = _Core(*(int(getattr(parameters.core, name)) for name in _CORE_FIELDS))
        ranges = [
            _Memory(r.address, r.size_bytes, r.storage, r.read, r.write) for r in parameters.ranges
        ]
        configured = library.tv_engine_configure(
            self.pointer,
            ctypes.byref(core),
            ctypes.byref(_flash(parameters.flash)),
            ctypes.byref(_shape(parameters.fetch_cache)),
            ctypes.byref(_shape(parameters.data_cache)),
            parameters.unified,
            (_Memory * len(ranges))(*ranges),
            len(ranges),
        )
        if not configured:
            raise MemoryError

    @property
    def cycle(self) -> int:
        return int(self.pointer.contents.clock)

    @property
    def clock(self) -> ctypes._Pointer[ctypes.c_uint64]:
        """Where ``cycle`` is, for other native code."""
        address = ctypes.addressof(self.pointer.contents) + _Engine.clock.offset
        return ctypes.cast(address, ctypes.POINTER(ctypes.c_uint64))

    @property
    def total(self) -> Cost:
        return _cost(self.pointer.contents.total)

    def clear(self) -> None:
        self.library.tv_engine_clear(self.pointer)

    def pass_time(self, cycles: int) -> None:
        self.pointer.contents.clock += cycles

    def finish(self, next_address: int) -> None:
        self.library.tv_engine_finish(self.pointer, next_address)

    def play(
        self, address: int, access: int, executed: bool, next_address: int, next_wide: bool
    ) -> None:
        self.library.tv_engine_play(
            self.pointer, address, access, executed, next_address, next_wide
        )

    def watch(self, address: int, size_bytes: int, on_access: Watch) -> None:
        def told(pc: int, address: int, size_bytes: int, is_store: int) -> None:
            on_access(pc, address, size_bytes, bool(is_store))

        engine = self.pointer.contents
        engine.watch_address, engine.watch_bytes = address, size_bytes
        self._watch = engine.watch = _WATCH(told)

    def costs(self) -> list[InstructionCost]:
        engine = self.pointer.contents
        found = [
            InstructionCost(engine.op[i].address, _cost(engine.cost[i]))
            for i in range(engine.ops)
            if engine.cost[i].executions
        ]
        return sorted(found, key=lambda item: item.address)

    def clear_costs(self) -> None:
        self.library.tv_engine_clear_costs(self.pointer)

    def call_emulator(self, reg_read: int, registers: Sequence[int]) -> None:
        """Where the emulator's function to read a register is, and its numbers of r0 to r15."""
        self.pointer.contents.reg_read = reg_read
        self.pointer.contents.registers = (ctypes.c_int32 * 16)(*registers)

    def _add(self, address: int) -> None:
        for op in self._decode(address):
            record = _MicroOp(*(getattr(op, name) for name in _OP_FIELDS))
            self.library.tv_engine_add(self.pointer, ctypes.byref(record))


def _declare(library: ctypes.CDLL) -> ctypes.CDLL:
    engine = ctypes.POINTER(_Engine)
    library.tv_engine_new.restype = engine
    for name, arguments in (
        ("free", ()),
        ("clear", ()),
        ("clear_costs", ()),
        ("add", (ctypes.POINTER(_MicroOp),)),
        ("finish", (ctypes.c_uint32,)),
        (
            "play",
            (ctypes.c_uint32, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint32, ctypes.c_int),
        ),
        (
            "configure",
            (
                ctypes.POINTER(_Core),
                ctypes.POINTER(_Flash),
                ctypes.POINTER(_CacheShape),
                ctypes.POINTER(_CacheShape),
                ctypes.c_uint32,
                ctypes.POINTER(_Memory),
                ctypes.c_uint32,
            ),
        ),
    ):
        getattr(library, f"tv_engine_{name}").argtypes = (engine, *arguments)
    return library


def _flash(flash: FlashTiming) -> _Flash:
    return _Flash(*(int(getattr(flash, name)) for name in _FLASH_FIELDS))


def _shape(cache: CacheTiming | None) -> _CacheShape:
    return (
        _CacheShape(0, 0, 0)
        if cache is None
        else _CacheShape(cache.line_bytes, cache.sets, cache.ways)
    )


def _cost(record: _Cost) -> Cost:
    return Cost(int(record.executions), int(record.cycles), tuple(record.stalls))
