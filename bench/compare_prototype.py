"""Holds the cycle model to the prototype that it was made from.

    python bench/compare_prototype.py PROTOTYPE [--board NAME] [--model FILE] [--limit PERCENT]

PROTOTYPE is the folder of the prototype (cyc.c, cycdec.py, models.py), which is no part of this
project. Firmware of every model is built for every board and profiled once on the virtual board,
with the project's engine and, in a second run, with the prototype's hooked to the same emulator.
The prototype gets the board's parameters from the board file; where it knows the board itself,
both sets must be equal. What it has no rule for is switched off for the comparison. Exits with 1
where any two differ by more than the limit.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from unicorn.arm_const import UC_ARM_REG_CPSR
from unicorn.unicorn_py3.unicorn import uclib

from tinyvision.build import build
from tinyvision.cycles import parameters
from tinyvision.cycles.cores import Pipeline
from tinyvision.cycles.parameters import Parameters, Storage
from tinyvision.device.link import Link
from tinyvision.device.serial_target import SerialTarget
from tinyvision.device.virtual import VirtualBoard
from tinyvision.errors import UserError
from tinyvision.target import Board, load_board

MODELS = Path(__file__).parents[2] / "shared" / "models"
BOARDS = ("stm32l4", "stm32f7", "stm32h7a3", "stm32h7", "stm32u5", "stm32g0")
KNOWN_BOARDS = {
    "stm32l4": "L4R5",
    "stm32f7": "F746",
    "stm32h7a3": "H7A3",
    "stm32u5": "U575",
    "stm32g0": "G0B1",
}
CORES = {Pipeline.M0: 0, Pipeline.M3: 4, Pipeline.M33: 33, Pipeline.M7: 7}
HOOK_BLOCK, HOOK_READ, HOOK_WRITE = 8, 1 << 10, 1 << 11


@dataclass(frozen=True)
class Result:
    """Cycles of a whole inference."""

    ours: int
    prototype: int

    @property
    def difference(self) -> float:
        return self.ours / self.prototype - 1


def load_prototype(folder: Path, scratch: Path) -> tuple[ModuleType, ModuleType]:
    """Its ``cycdec`` and ``models``, with a freshly compiled library beside them."""
    for path in folder.iterdir():
        shutil.copyfile(path, scratch / path.name)
    library = scratch / "libcyc.so"
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", "-o", library, scratch / "cyc.c"],
        check=True,
        capture_output=True,
    )
    sys.path.insert(0, str(scratch))
    return importlib.import_module("cycdec"), importlib.import_module("models")


def prototype_parameters(ours: Parameters) -> dict[str, int]:
    """The prototype's names for our numbers."""
    core, flash = ours.core, ours.flash
    bus = next((r for r in ours.ranges if r.storage is Storage.CACHED), None)
    common = {"div": core.divide, "brunal": core.wide_target}
    if core.pipeline is Pipeline.M7:
        return {
            "div": core.divide,
            "dual": 1,
            "bankconf": 1,
            "mispred": core.mispredict,
            "mispred_short": core.mispredict_early,
            "m7unal": core.unaligned_access,
            "imiss": flash.line_fill,
            "dmiss": flash.line_fill,
            "axi_r": bus.read if bus else 0,
            "axi_w": bus.write if bus else 0,
            "wb": flash.write_back,
            "dfill": flash.line_busy,
        }
    return common | {
        "br": core.branch,
        "bx": core.branch_register,
        "poppc": core.load_pc,
        "ldpipe": core.load_to_use,
        "stld": core.store_to_load,
        "unal3": core.unaligned_run,
        "unal_ld": core.unaligned_access,
        "xregion": core.other_memory,
        "m33dual": int(core.pipeline is Pipeline.M33),
        "flash_ws": flash.wait_states,
        "prefetch": int(flash.prefetch),
        "spec": flash.prefetch_lead,
        "iline_lat": flash.fetch_extra,
        "flash_dws": flash.data_extra,
        "dseq": flash.data_next,
    }


class Prototype:
    """The prototype's engine, following a virtual board of ours."""

    def __init__(self, cycdec: ModuleType, board: Board, machine: Any) -> None:
        self._lib = cycdec.lib
        self._ours = parameters(board)
        core = CORES[self._ours.core.pipeline]
        self._engine = cycdec.Engine(core, machine.read_memory)
        self._engine.param(**dict.fromkeys(cycdec.PN, 0))
        self._engine.param(**prototype_parameters(self._ours))
        for r in self._ours.ranges:
            kind = {Storage.FLASH: 1, Storage.CACHED: 2}.get(r.storage, 0)
            base, size = ctypes.c_uint32(r.address), ctypes.c_uint32(r.size_bytes)
            self._lib.cyc_region(base, size, kind, r.read, r.write, 1)
        self._caches()
        self._hook(machine._uc)
        self.reads: list[int] = []
        note = machine._note_counter_read

        def note_both() -> None:
            note()
            self.reads.append(self._engine.now())

        machine._note_counter_read = note_both

    def _caches(self) -> None:
        ours, line = self._ours, self._ours.flash.line_bytes
        for which, cache in ((0, ours.fetch_cache), (1, ours.data_cache)):
            if cache is None:
                self._lib.cyc_cache(which, line, 2 * line, 2, 0, not ours.unified, 0)
                continue
            shape = (cache.line_bytes, cache.size_bytes, cache.ways)
            self._lib.cyc_cache(which, *shape, 1, not ours.unified, 0)

    def _hook(self, machine: Any) -> None:
        functions = (uclib.uc_reg_read, uclib.uc_reg_write)
        pointers = [ctypes.cast(f, ctypes.c_void_p) for f in functions]
        self._lib.cyc_set_regfns(*pointers, ctypes.c_int(UC_ARM_REG_CPSR))
        self._add(machine, HOOK_BLOCK, self._lib.uc_block_cb, 1, 0)
        for r in self._ours.ranges:
            end = r.address + r.size_bytes - 1
            self._add(machine, HOOK_READ | HOOK_WRITE, self._lib.uc_mem_cb, r.address, end)

    @staticmethod
    def _add(machine: Any, kind: int, function: Any, begin: int, end: int) -> None:
        hook = ctypes.c_size_t()
        pointer = ctypes.cast(function, ctypes.c_void_p)
        addresses = ctypes.c_uint64(begin), ctypes.c_uint64(end)
        uclib.uc_hook_add(machine._uch, ctypes.byref(hook), kind, pointer, None, *addresses)


class Followed(VirtualBoard):
    """A virtual board that the prototype follows."""

    def __init__(self, elf: Path, board: Board, cycdec: ModuleType) -> None:
        self._cycdec, self._board = cycdec, board
        super().__init__(elf, board, cycles=False)

    def _run(self) -> None:
        self.prototype = Prototype(self._cycdec, self._board, self.machine)
        super()._run()


def inference(board: VirtualBoard) -> int:
    """Profiles one inference; returns the number of its layers."""
    target = SerialTarget(Link(board.port))
    target.feed([np.zeros(info.shape, info.external.numpy) for info in target.inputs])
    return len(target.profile())


def span(reads: list[int], layers: int) -> int:
    """Cycles in layers, out of counter reads before and after each."""
    last = reads[-2 * layers :]
    return sum(stop - start for start, stop in zip(last[::2], last[1::2], strict=True))


def compare(elf: Path, board: Board, cycdec: ModuleType) -> Result:
    with VirtualBoard(elf, board) as twin:
        layers = inference(twin)
        ours = span([read.cost.cycles for read in twin.machine.counter_reads if read.cost], layers)
    with Followed(elf, board, cycdec) as twin:
        layers = inference(twin)
        theirs = span(twin.prototype.reads, layers)
    return Result(ours, theirs)


def without_data_buffer(board: Board) -> Board:
    """The board as the prototype can model it."""
    assert board.timing is not None
    flash = replace(board.timing.flash, data_buffer=False)
    return replace(board, timing=replace(board.timing, flash=flash))


def check_parameters(board: Board, cycdec: ModuleType, models: ModuleType, folder: Path) -> None:
    """Raises UserError where the board file and the prototype's own set of numbers differ."""
    name = KNOWN_BOARDS.get(board.name)
    if name is None:
        return
    calibration = json.loads((folder / "calibration.json").read_text())
    theirs = models.DEF[name] | calibration.get(name, {})
    ours = prototype_parameters(parameters(board))
    for key, value in theirs.items():
        if key in cycdec.PN and ours.get(key, 0) != value:
            raise UserError(
                f"parameter {key} is {ours.get(key, 0)} here and {value} in the prototype",
                board.name,
            )


def firmware(models: list[Path], boards: list[str], out: Path) -> Iterator[tuple[Board, str, Path]]:
    """Board, model and ELF file of each that fits."""
    for name in boards:
        board = load_board(name)
        for model in models:
            try:
                built = build(model, board, out=out / f"{model.stem}-{board.name}")
            except UserError as error:
                print(f"{board.name:10} {model.stem:20} {error.what}")
                continue
            yield board, model.stem, built.result.elf


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prototype", type=Path)
    parser.add_argument("--board", action="append", default=[])
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--limit", type=float, default=2.0, help="percent")
    arguments = parser.parse_args()
    models = arguments.model or sorted(MODELS.glob("*.tflite"))
    boards = arguments.board or list(BOARDS)
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "prototype").mkdir()
        cycdec, known = load_prototype(arguments.prototype, Path(scratch) / "prototype")
        for name in boards:
            check_parameters(load_board(name), cycdec, known, arguments.prototype)
        for board, model, elf in firmware(models, boards, Path(scratch)):
            result = compare(elf, without_data_buffer(board), cycdec)
            worst = max(worst, abs(result.difference))
            print(
                f"{board.name:10} {model:20} {result.ours:12,} {result.prototype:12,} "
                f"{100 * result.difference:+.2f} %",
                flush=True,
            )
    print(f"largest difference: {100 * worst:.2f} %")
    return int(100 * worst > arguments.limit)


if __name__ == "__main__":
    sys.exit(main())
