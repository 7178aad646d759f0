"""Generated C compiled for the Cortex-M55 and run on QEMU, layer by layer, without a board.

The MPU lets a layer reach its own banks only. Every bank ends at the end of its region, so that a
read or write one byte beyond it faults; below it there are up to 31 bytes that must stay as they
are.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.support.arm_program import COMPILER, WARNINGS
from tests.support.kernel_check import compare
from tinyvision.codegen import emit
from tinyvision.codegen.names import c_identifier
from tinyvision.device.host import HostModel
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array
from tinyvision.schedule.plan import Plan
from tinyvision.target import load_board

SOURCES = Path(__file__).parents[1] / "virtual" / "mve"
QEMU = "qemu-system-arm"
_MEMORY, _MEMORY_BYTES, _GRAIN = 0x3100_0000, 0x10_0000, 32
_UNTOUCHED = 0xA5


def check_on_mve(graph: Graph, plan: Plan) -> None:
    """``kernel_check.check_plan`` on QEMU's Cortex-M55."""
    model = HostModel(graph, plan, emit(graph, plan, load_board("host")))
    with TemporaryDirectory(prefix="tinyvision-mve-") as folder:
        compare(graph, plan, MveProgram(model, Path(folder)).trace)


class MveProgram:
    """One model's layers as a program; ``folder`` is for its files."""

    def __init__(self, model: HostModel, folder: Path, optimize: str = "-O3") -> None:
        self.model, self.folder = model, folder
        self._place_banks()
        self._elf = self._compile(optimize)

    def trace(self, inputs: Sequence[Array]) -> Iterator[tuple[int, dict[str, Array]]]:
        """Runs all layers; yields the last step of each and what its operators defined.

        Raises AssertionError where a layer leaves the memory it was given.
        """
        graph, plan = self.model.graph, self.model.plan
        memory = bytearray([_UNTOUCHED]) * _MEMORY_BYTES
        for name, array in zip(graph.inputs, inputs, strict=True):
            start = self._address(name) - _MEMORY
            memory[start : start + array.nbytes] = np.ascontiguousarray(array).tobytes()
        (self.folder / "memory").write_bytes(memory)
        banks = [self._banks_of(index) for index in range(len(plan.units))]
        words: list[int] = []
        for numbers in banks:
            words.append(len(numbers))
            for number in numbers:
                begin, end = self._banks[number]
                words += [begin // _GRAIN * _GRAIN, end]
        (self.folder / "calls").write_bytes(struct.pack(f"<{len(words)}I", *words))
        self._run()
        results = memoryview((self.folder / "results").read_bytes())
        for index, ((_, last), numbers) in enumerate(zip(plan.units, banks, strict=True)):
            for number in numbers:
                begin, end = self._banks[number]
                slack = begin % _GRAIN
                assert set(results[:slack]) <= {_UNTOUCHED}, f"{plan.steps[last].op} wrote below"
                size = end - begin + slack
                start = begin - slack - _MEMORY
                memory[start : start + size] = results[:size]
                results = results[size:]
            names = plan.results(graph, index)
            yield last, {name: self._tensor(memory, name) for name in names}

    def _run(self) -> None:
        command = [
            *(QEMU, "-M", "mps3-an547", "-display", "none", "-monitor", "none", "-serial", "none"),
            *("-semihosting-config", "enable=on,target=native", "-kernel", str(self._elf)),
        ]
        result = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=300
        )
        if result.returncode:
            units = self.model.plan.units
            assert result.returncode <= len(units), result.stderr
            step = self.model.plan.steps[units[result.returncode - 1][1]]
            raise AssertionError(f"{step.op} by {step.kernel.variant} left its memory")

    def _banks_of(self, index: int) -> list[int]:
        """Numbers of the banks that layer ``index`` may touch."""
        plan = self.model.plan
        names = [bank.name for bank in plan.banks]
        first, last = plan.units[index]
        steps = plan.steps[first : last + 1]
        ops = {op.name: op for op in self.model.graph.ops}
        used = {name for step in steps for name in (*ops[step.op].inputs, *ops[step.op].outputs)}
        used |= {name for step in steps for name in (step.scratch, step.sums)}
        used |= {segment.state for segment in plan.segments}
        return sorted({names.index(plan.buffers[n].bank) for n in used if n in plan.buffers})

    def _place_banks(self) -> None:
        """(begin, end) of every bank; each ends where a region may."""
        self._banks: list[tuple[int, int]] = []
        at = _MEMORY
        for bank in self.model.plan.banks:
            end = at + (-(-bank.used_bytes // _GRAIN) + 1) * _GRAIN
            self._banks.append((end - bank.used_bytes, end))
            at = end + _GRAIN
        assert at <= _MEMORY + _MEMORY_BYTES

    def _address(self, name: str) -> int:
        buffer = self.model.plan.buffers[name]
        names = [bank.name for bank in self.model.plan.banks]
        return self._banks[names.index(buffer.bank)][0] + buffer.offset

    def _tensor(self, memory: bytearray, name: str) -> Array:
        tensor = self.model.graph.tensor(name)
        start = self._address(name) - _MEMORY
        data = bytes(memory[start : start + tensor.size_bytes])
        return np.frombuffer(data, tensor.dtype.numpy).reshape(tensor.shape)

    def _compile(self, optimize: str) -> Path:
        sources = [str(SOURCES / "call.c"), str(self.folder / "table.c")]
        for relative, text in self.model.files.items():
            path = self.folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sources += [str(path)] if path.suffix == ".c" else []
        name = c_identifier(self.model.graph.name)
        (self.folder / "table.h").write_text(
            "#include <stddef.h>\n#include <stdint.h>\n"
            f"enum {{ LAYERS = {len(self.model.plan.units)} }};\n"
            "void call_layer(uint32_t index);\n",
            encoding="utf-8",
        )
        banks = ", ".join(f"(uint8_t *){begin:#x}" for begin, _ in self._banks)
        (self.folder / "table.c").write_text(
            f'#include "tv_{name}.h"\n#include "table.h"\n'
            f"static uint8_t *const bank[] = {{ {banks} }};\n"
            "void call_layer(uint32_t index)\n{\n"
            f"    tv_{name}.layer(bank, index);\n}}\n",
            encoding="utf-8",
        )
        elf = self.folder / "model.elf"
        command = [
            *(COMPILER, "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", *WARNINGS, optimize),
            *("-fno-tree-loop-distribute-patterns", f"-I{self.folder}"),
            *(f"-I{self.folder / 'include'}", f"-I{self.folder / 'src'}", *sources),
            *("-nostartfiles", "-T", str(SOURCES / "link.ld"), "-Wl,--no-warn-rwx-segments"),
            *("-o", str(elf)),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr[-3000:]
        return elf
