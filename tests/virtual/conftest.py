"""Programs for the virtual board, compiled once per session."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BARE = Path(__file__).parent / "bare"
COMPILER = "arm-none-eabi-gcc"
TARGETS = {
    "stm32h7": ("cortex-m7", "fpv5-d16", 0x40004800, 39),
    "stm32l4": ("cortex-m4", "fpv4-sp-d16", 0x40008000, 70),
}


def pytest_collection_modifyitems(items):
    if shutil.which(COMPILER) is None:
        for item in items:
            if Path(item.fspath).parent == Path(__file__).parent:
                item.add_marker(pytest.mark.skip(reason=f"needs {COMPILER}"))


@pytest.fixture(scope="session")
def compile_bare(tmp_path_factory):
    """``compile_bare(source, board, *flags)``: the ELF file of a program in ``bare/``."""
    folder = tmp_path_factory.mktemp("bare")
    made: dict[tuple[str, ...], Path] = {}

    def compile_one(source: str, board: str = "stm32h7", *flags: str) -> Path:
        key = (source, board, *flags)
        if key not in made:
            cpu, fpu, uart, irq = TARGETS[board]
            elf = folder / f"{len(made)}.elf"
            subprocess.run(
                [
                    COMPILER,
                    f"-mcpu={cpu}",
                    "-mthumb",
                    "-mfloat-abi=hard",
                    f"-mfpu={fpu}",
                    "-O2",
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "-ffreestanding",
                    "-nostdlib",
                    f"-DUART={uart:#x}u",
                    f"-DUART_IRQ={irq}",
                    "-DNO_FPU=0",
                    *flags,
                    "-T",
                    str(BARE / "link.ld"),
                    str(BARE / source),
                    "-o",
                    str(elf),
                ],
                check=True,
            )
            made[key] = elf
        return made[key]

    return compile_one


@pytest.fixture(scope="session")
def private_platformio(tmp_path_factory):
    """PlatformIO's home for these tests: nothing of the user's, and the set-up itself is tested."""
    home = tmp_path_factory.mktemp("platformio")
    before = os.environ.get("PLATFORMIO_CORE_DIR")
    os.environ["PLATFORMIO_CORE_DIR"] = str(home)
    yield home
    if before is None:
        del os.environ["PLATFORMIO_CORE_DIR"]
    else:
        os.environ["PLATFORMIO_CORE_DIR"] = before
