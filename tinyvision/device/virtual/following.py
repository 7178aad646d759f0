"""Lets a cycle model follow an emulated core, instruction by instruction.

Hooks on instructions, not on memory: Unicorn's memory hooks walk the block anew for each access and
leave the IT state wrong. Before an instruction runs, its addresses follow from the registers.
"""

from __future__ import annotations

import ctypes

from unicorn import UC_HOOK_CODE, Uc
from unicorn.unicorn_py3.unicorn import uclib

from tinyvision.cycles import NativeEngine, PythonEngine
from tinyvision.device.virtual.native_hook import add_native_hook
from tinyvision.device.virtual.tracer import REGISTERS


def follow(engine: NativeEngine | PythonEngine, machine: Uc) -> None:
    """Makes ``engine`` play what ``machine`` executes; once, before it runs."""
    if isinstance(engine, PythonEngine):

        def register(index: int) -> int:
            return int(machine.reg_read(REGISTERS[index]))

        def on_instruction(_: Uc, address: int, __: int, ___: object) -> None:
            engine.begin(address, register)

        machine.hook_add(UC_HOOK_CODE, on_instruction)
        return
    read = ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value
    assert read is not None
    engine.call_emulator(read, REGISTERS)
    add_native_hook(machine, UC_HOOK_CODE, engine.library.tv_engine_instruction, engine.pointer)
