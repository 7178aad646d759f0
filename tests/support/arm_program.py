"""Generated C compiled for a Cortex-M and run in Unicorn, function by function, without a board.

Every bank ends at the end of mapped memory, so that an access more than its alignment (16 bytes)
beyond it faults.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import unicorn as uc
import unicorn.arm_const as arm
from elftools.elf.elffile import ELFFile

from tests.support.kernel_check import compare
from tinyvision.codegen import emit
from tinyvision.codegen.emit import COMPILED
from tinyvision.codegen.names import c_identifier
from tinyvision.device.host import HostModel
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array
from tinyvision.schedule.plan import Plan
from tinyvision.target import CORES, load_board
from tinyvision.target.core import Core

COMPILER = "arm-none-eabi-gcc"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wshadow")
CPUS = {
    "cortex-m0plus": arm.UC_CPU_ARM_CORTEX_M0,
    "cortex-m3": arm.UC_CPU_ARM_CORTEX_M3,
    "cortex-m4": arm.UC_CPU_ARM_CORTEX_M4,
    "cortex-m7": arm.UC_CPU_ARM_CORTEX_M7,
    "cortex-m33": arm.UC_CPU_ARM_CORTEX_M33,
}

_CODE, _BANKS, _STACK, _TABLE, _STOP = 0x10000, 0x2000_0000, 0x3000_0000, 0x3100_0000, 0x3200_0000
_PAGE = 4096


def check_on_arm(graph: Graph, plan: Plan, core: Core | str, goal: str = "memory") -> None:
    """``kernel_check.check_plan`` with the code that ``core`` would run."""
    if isinstance(core, str):
        core = CORES[core]
    model = HostModel(graph, plan, emit(graph, plan, load_board("host"), goal=goal))
    compare(graph, plan, ArmProgram(model, core, COMPILED[goal]).trace)


class ArmProgram:
    """One model on one core."""

    def __init__(self, model: HostModel, core: Core, optimize: str = "-O3") -> None:
        self.model = model
        with TemporaryDirectory(prefix="tinyvision-arm-") as folder:
            elf = _compile(model, core, Path(folder), optimize)
            self.machine = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
            self.machine.ctl_set_cpu_model(CPUS[core.cpu])
            self._layer = self._load(elf)
        self._place_banks()

    def trace(self, inputs: Sequence[Array]) -> Iterator[tuple[int, dict[str, Array]]]:
        """Runs layer by layer; yields the last step of each and what its operators defined that is
        there when it is done, as it lies in memory.

        Raises AssertionError where a layer leaves the memory it was given.
        """
        graph, plan = self.model.graph, self.model.plan
        for address, bank in zip(self._banks, plan.banks, strict=True):
            self.machine.mem_write(address, b"\xa5" * bank.used_bytes)
        for name, array in zip(graph.inputs, inputs, strict=True):
            self.machine.mem_write(self._address(name), np.ascontiguousarray(array).tobytes())
        for index, (_, last) in enumerate(plan.units):
            self._call(index, plan.steps[last].op)
            yield last, {name: self._tensor(name) for name in plan.results(graph, index)}

    def _call(self, index: int, what: str) -> None:
        self.machine.reg_write(arm.UC_ARM_REG_R0, _TABLE)
        self.machine.reg_write(arm.UC_ARM_REG_R1, index)
        self.machine.reg_write(arm.UC_ARM_REG_SP, _STACK + 16 * _PAGE)
        self.machine.reg_write(arm.UC_ARM_REG_LR, _STOP | 1)
        try:
            self.machine.emu_start(self._layer | 1, _STOP)
        except uc.UcError as error:
            where = self.machine.reg_read(arm.UC_ARM_REG_PC)
            raise AssertionError(f"{what} failed at {where:#x}: {error}") from None

    def _load(self, elf: Path) -> int:
        """Maps the program; returns the address of the function that runs one layer."""
        with elf.open("rb") as stream:
            image = ELFFile(stream)
            segments = [s for s in image.iter_segments() if s["p_type"] == "PT_LOAD"]
            end = max(s["p_vaddr"] + s["p_memsz"] for s in segments)
            self.machine.mem_map(0, -(-end // _PAGE) * _PAGE)
            for segment in segments:
                self.machine.mem_write(segment["p_vaddr"], segment.data())
            (symbol,) = image.get_section_by_name(".symtab").get_symbol_by_name("call_layer")
            return int(symbol["st_value"]) & ~1

    def _place_banks(self) -> None:
        self._banks: list[int] = []
        address = _BANKS
        for bank in self.model.plan.banks:
            size = -(-bank.used_bytes // 16) * 16
            pages = -(-max(size, 1) // _PAGE) * _PAGE
            self.machine.mem_map(address, pages)
            self._banks.append(address + pages - size)
            address += pages + _PAGE
        for region in (_STACK, _STOP):
            self.machine.mem_map(region, 16 * _PAGE)
        self.machine.mem_map(_TABLE, _PAGE)
        self.machine.mem_write(_TABLE, struct.pack(f"<{len(self._banks)}I", *self._banks))

    def _address(self, name: str) -> int:
        buffer = self.model.plan.buffers[name]
        names = [bank.name for bank in self.model.plan.banks]
        return self._banks[names.index(buffer.bank)] + buffer.offset

    def _tensor(self, name: str) -> Array:
        tensor = self.model.graph.tensor(name)
        data = bytes(self.machine.mem_read(self._address(name), tensor.size_bytes))
        return np.frombuffer(data, tensor.dtype.numpy).reshape(tensor.shape)


def _compile(model: HostModel, core: Core, folder: Path, optimize: str) -> Path:
    sources: list[Path] = []
    for relative, text in model.files.items():
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".c":
            sources.append(path)
    name = c_identifier(model.graph.name)
    main = folder / "call.c"
    main.write_text(
        f'#include "tv_{name}.h"\n'
        "void call_layer(uint8_t *const bank[], uint32_t index);\n"
        "void call_layer(uint8_t *const bank[], uint32_t index)\n"
        "{\n"
        f"    tv_{name}.layer(bank, index);\n"
        "}\n",
        encoding="utf-8",
    )
    elf = folder / "model.elf"
    command = [
        COMPILER,
        f"-mcpu={core.cpu}",
        "-mthumb",
        "-mfloat-abi=soft",
        *WARNINGS,
        optimize,
        f"-I{folder / 'include'}",
        f"-I{folder / 'src'}",
        *map(str, sources),
        str(main),
        "-nostartfiles",
        f"-Wl,-Ttext={_CODE:#x},-e,call_layer,--no-warn-rwx-segments",
        "-o",
        str(elf),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return elf
