"""Finds and reads board files. The format is written down in ``docs/boards.md``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinyvision.errors import BoardError
from tinyvision.resources import data_folder
from tinyvision.target.board import (
    Bank,
    Board,
    Boot,
    Clock,
    Hardware,
    Layout,
    Memory,
    Peripheral,
    Register,
    SetBit,
    Tested,
    Twin,
    Uart,
    Upload,
)
from tinyvision.target.core import CORES
from tinyvision.target.table import Table, suggest
from tinyvision.target.timing import read_timing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

GUARD_BYTES = 16
"""Canary bytes that the firmware keeps before and behind each bank of the model."""

MEMORY_KINDS = ("flash", "tcm", "sram", "dram")
CYCLE_COUNTERS = ("dwt", "systick")
UPLOAD_PROTOCOLS = ("pyocd", "openocd", "st-flash", "jlink", "picotool")
TWIN_ENGINES = ("unicorn", "qemu")


def board_names() -> tuple[str, ...]:
    """The names of the boards that come with tinyvision, in alphabetical order."""
    return tuple(sorted(path.stem for path in data_folder("boards").glob("*.toml")))


def load_board(name_or_path: str | Path) -> Board:
    """The board of that name, or the one that a ``.toml`` file describes.

    Raises BoardError for a name that doesn't exist (offering the nearest) and for a file with
    anything missing, unknown or contradictory in it.
    """
    text = str(name_or_path)
    if text.endswith(".toml"):
        path = Path(text)
        if not path.is_file():
            raise BoardError(f"there is no board file {text}")
    elif text in board_names():
        path = data_folder("boards") / f"{text}.toml"
    else:
        hint = f"{suggest(text, board_names())} A path to a .toml file serves too."
        raise BoardError(f"there is no board '{text}'", hint=hint)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BoardError("the board file cannot be read", str(path), str(error)) from None
    board = _board(Table(data, path.name))
    if board.name != path.stem:
        raise BoardError(f"the board calls itself '{board.name}'", path.name, "the file name rules")
    return board


def _board(table: Table) -> Board:
    core = CORES[table.choice("core", tuple(CORES))]
    reads = table.integer("least_reads", low=1, default=core.least_reads)
    core = replace(core, least_reads=reads)
    memories = tuple(_memory(entry) for entry in table.tables("memories"))
    names = [memory.name for memory in memories]
    if len(set(names)) != len(names):
        raise table.fail("two memories have the same name", ", ".join(names))
    layout = _layout(table.table("firmware"), memories) if core.name != "host" else None
    hardware = _hardware(table, memories, layout) if layout else None
    code = layout.code if layout else "flash"
    tested = table.table("tested")
    board = Board(
        name=table.text("name"),
        title=table.text("title"),
        core=core,
        clock_mhz=table.number("clock_mhz"),
        banks=_banks(table, memories, layout),
        flash_bytes=_find(table, memories, code).size_bytes,
        tested=Tested(tested.text("build"), tested.text("twin"), tested.text("hardware")),
        hardware=hardware,
        timing=read_timing(table.table("timing"), _names(memories))
        if table.has("timing")
        else None,
    )
    tested.finish()
    table.finish()
    return board


def _memory(table: Table) -> Memory:
    memory = Memory(
        name=table.identifier("name"),
        kind=table.choice("kind", MEMORY_KINDS),
        address=table.integer("address"),
        size_bytes=table.integer("size", low=1),
        aliases=table.integers("aliases"),
    )
    if memory.end > 2**32 or memory.address % 32:
        raise table.fail(f"memory '{memory.name}' is not inside the 32-bit map, aligned to 32")
    table.finish()
    return memory


def _find(table: Table, memories: Sequence[Memory], name: str) -> Memory:
    for memory in memories:
        if memory.name == name:
            return memory
    raise table.fail(f"there is no memory '{name}'", hint=suggest(name, _names(memories)))


def _names(memories: Sequence[Memory]) -> tuple[str, ...]:
    return tuple(memory.name for memory in memories)


def _layout(table: Table, memories: Sequence[Memory]) -> Layout:
    code = table.text("code")
    layout = Layout(
        vectors=table.text("vectors", default=code),
        code=code,
        ram=table.text("ram"),
        stack_bytes=table.integer("stack_bytes", low=1024),
        data_bytes=table.integer("data_bytes", low=1024),
        enables=tuple(SetBit(*pair) for pair in table.pairs("enables")),
    )
    for name in (layout.vectors, layout.code, layout.ram):
        _find(table, memories, name)
    if (layout.stack_bytes | layout.data_bytes) % 32:
        raise table.fail("stack_bytes and data_bytes must be multiples of 32")
    table.finish()
    return layout


def _banks(table: Table, memories: Sequence[Memory], layout: Layout | None) -> tuple[Bank, ...]:
    banks = []
    for name in table.texts("banks"):
        memory = _find(table, memories, name)
        stack, data = (0, 0)
        if layout and name == layout.ram:
            stack, data = layout.stack_bytes, layout.data_bytes
        size = memory.size_bytes - stack - data - 2 * GUARD_BYTES
        if size <= 0:
            raise table.fail(f"nothing is left of bank '{name}' for the model")
        banks.append(Bank(name, memory.address + stack + GUARD_BYTES, size))
    if not banks:
        raise table.fail("key 'banks' must name at least one memory for tensors")
    return tuple(banks)


def _hardware(table: Table, memories: tuple[Memory, ...], layout: Layout) -> Hardware:
    clock = table.table("clock")
    return Hardware(
        mcu=table.text("mcu"),
        vendor=table.text("vendor"),
        url=table.text("url"),
        interrupts=table.integer("interrupts", high=480),
        cycle_counter=table.choice("cycle_counter", CYCLE_COUNTERS),
        memories=memories,
        layout=layout,
        clock=Clock(clock.identifier("driver"), clock.rest()),
        uart=_uart(table.table("uart")),
        uploads=tuple(_upload(entry) for entry in table.tables("upload")),
        twin=_twin(table.table("twin")),
        boot=_boot(table.table("boot"), memories) if table.has("boot") else None,
    )


def _boot(table: Table, memories: Sequence[Memory]) -> Boot:
    boot = Boot(table.identifier("driver"), table.text("memory"))
    _find(table, memories, boot.memory)
    table.finish()
    return boot


def _uart(table: Table) -> Uart:
    return Uart(
        driver=table.identifier("driver"),
        base=table.integer("base"),
        clock_hz=table.integer("clock_hz", low=1),
        baud=table.integer("baud", low=1),
        irq=table.integer("irq", high=479),
        enables=tuple(SetBit(*pair) for pair in table.pairs("enables")),
        usb=table.texts("usb"),
        settings=table.rest(),
    )


def _upload(table: Table) -> Upload:
    upload = Upload(table.choice("protocol", UPLOAD_PROTOCOLS), table.text("target"))
    table.finish()
    return upload


def _twin(table: Table) -> Twin:
    engine = table.choice("engine", TWIN_ENGINES)
    machine = table.text("machine") if engine == "qemu" else ""
    twin = Twin(engine, machine, tuple(_peripheral(p) for p in table.tables("peripherals")))
    table.finish()
    return twin


def _peripheral(table: Table) -> Peripheral:
    peripheral = Peripheral(
        name=table.text("name"),
        address=table.integer("address"),
        size_bytes=table.integer("size", low=4),
        registers=tuple(_register(entry) for entry in table.tables("registers")),
    )
    table.finish()
    for register in peripheral.registers:
        if register.offset >= peripheral.size_bytes or register.offset % 4:
            raise table.fail(f"register at offset {register.offset:#x} is not in the peripheral")
    return peripheral


def _register(table: Table) -> Register:
    register = Register(
        offset=table.integer("offset"),
        reset=table.integer("reset", default=0),
        follow=table.pairs("follow"),
        ones=table.integer("ones", default=0),
    )
    if any(bit > 31 for pair in register.follow for bit in pair):
        raise table.fail("bits are numbered 0 to 31")
    table.finish()
    return register
