"""The text of every file of a project, from the folder ``firmware`` and a board. Writes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tinyvision import __version__
from tinyvision.errors import BoardError
from tinyvision.resources import data_folder
from tinyvision.schedule.plan import BankUse
from tinyvision.target.board import Board, Hardware, SetBit

USER_FILES = frozenset({"src/main.c", "platformio.ini", "README.md", ".gitignore"})
"""Written once, then the user's: an update leaves them as they are."""

CORES_WITH_L1 = ("cortex-m7", "cortex-m55", "cortex-m85")
_COPIED = {"agent": "lib/tinyvision_agent", "platform": "platform"}
_SETTING = re.compile(r"\bBOARD_(CLOCK|UART)_([A-Z0-9_]+)\b")
_COMMON = {"CLOCK_HZ", "UART_BASE", "UART_CLOCK_HZ", "UART_BAUD", "UART_IRQ", "UART_ENABLES"}


def render_project(
    board: Board,
    model: str,
    title: str,
    library: Mapping[str, str],
    banks: Sequence[BankUse],
    frame: BankUse | None = None,
) -> dict[str, str]:
    """Path to text of a whole project for ``board``.

    ``model``: the C identifier of the network, ``title`` its name for people; ``library``: what
    ``codegen.emit`` made; ``banks``: the plan's, in its order. Raises BoardError for a board
    without hardware, and for one whose drivers do not exist or want other settings.
    """
    hardware = board.hardware
    if hardware is None:
        why = "it is the machine that tinyvision runs on"
        raise BoardError(
            "there is no firmware for this board", board.name, why, "See verify --host."
        )
    folder = data_folder("firmware")
    drivers = driver_files(hardware)
    _check_settings(board, folder / "platform" / "bsp")
    context = {
        "board": board,
        "hardware": hardware,
        "layout": hardware.layout,
        "clock_hz": round(board.clock_mhz * 1_000_000),
        "l1_caches": board.core.cpu in CORES_WITH_L1,
        "bits": _bits,
        "model": model,
        "title": "".join(c if c.isprintable() else " " for c in title),
        "banks": banks,
        "frame": frame,
        "build_id": f"tinyvision {__version__}",
    }
    jinja = Environment(
        loader=FileSystemLoader(folder / "project"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, not HTML
    )

    def render(template: str) -> str:
        return jinja.get_template(template).render(context)

    files = {f"lib/{model}/{path}": text for path, text in library.items()}
    for source, target in _COPIED.items():
        files |= _texts(folder / source, target)
    files["src/main.c"] = (folder / "project" / "main.c").read_text(encoding="utf-8")
    files[".gitignore"] = (folder / "project" / "gitignore").read_text(encoding="utf-8")
    for name in ("src/model_memory.c", "src/model_memory.h", "platformio.ini", "README.md"):
        files[name] = render(f"{Path(name).name}.j2")
    for name in ("board_config.h", "link.ld"):
        files[f"platform/boards/{board.name}/{name}"] = render(f"{name}.j2")
    files[f"platform/boards/{board.name}.json"] = _manifest(board, hardware, drivers)
    return files


def driver_files(hardware: Hardware) -> list[str]:
    """Names of the drivers that a board needs, of those in ``firmware/platform/bsp``."""
    boot = [f"boot_{hardware.boot.driver}.S"] if hardware.boot else []
    return [
        *boot,
        f"clock_{hardware.clock.driver}.c",
        f"uart_{hardware.uart.driver}.c",
        f"cycles_{hardware.cycle_counter}.c",
    ]


def _check_settings(board: Board, bsp: Path) -> None:
    """Every setting of a board must be one that its driver reads, and the reverse."""
    hardware = board.hardware
    assert hardware is not None
    if hardware.boot and not (bsp / f"boot_{hardware.boot.driver}.S").is_file():
        raise BoardError(f"there is no boot driver '{hardware.boot.driver}'", board.name)
    for kind, driver, settings in (
        ("clock", hardware.clock.driver, hardware.clock.settings),
        ("uart", hardware.uart.driver, hardware.uart.settings),
    ):
        source = bsp / f"{kind}_{driver}.c"
        if not source.is_file():
            known = ", ".join(
                sorted(path.stem[len(kind) + 1 :] for path in bsp.glob(f"{kind}_*.c"))
            )
            raise BoardError(f"there is no {kind} driver '{driver}'", board.name, f"known: {known}")
        wanted = {
            name.lower()
            for group, name in _SETTING.findall(_with_headers(source))
            if group.lower() == kind and f"{group}_{name}" not in _COMMON
        }
        given = {key for key, _ in settings}
        if wanted != given:
            missing, unknown = sorted(wanted - given), sorted(given - wanted)
            why = "; ".join(
                text
                for text in (
                    f"missing {', '.join(missing)}" if missing else "",
                    f"unknown {', '.join(unknown)}" if unknown else "",
                )
                if text
            )
            raise BoardError(
                f"wrong settings for driver {source.name}", f"{board.name} [{kind}]", why
            )


def _with_headers(source: Path) -> str:
    """A driver's text and that of the headers beside it that it includes."""
    text = source.read_text(encoding="utf-8")
    names = re.findall(r'#include "(\w+\.h)"', text)
    headers = [source.with_name(name) for name in names if name not in ("bsp.h", "board_config.h")]
    return "".join([text, *(header.read_text(encoding="utf-8") for header in headers)])


def _bits(bits: Iterable[SetBit]) -> str:
    """Initialisers ``{register, bit}``; one of zeros where there are none, as C wants one."""
    pairs = [f"{{0x{bit.register:08X}u, {bit.bit}u}}" for bit in bits]
    return ", ".join(pairs or ["{0u, 0u}"])


def _texts(folder: Path, target: str) -> dict[str, str]:
    return {
        f"{target}/{path.relative_to(folder).as_posix()}": path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.name != "__init__.py"
    }


def _manifest(board: Board, hardware: Hardware, drivers: list[str]) -> str:
    """PlatformIO's description of a board; ours is the truth."""
    uploads = {upload.protocol: upload.target for upload in hardware.uploads}
    manifest = {
        "name": board.title,
        "vendor": hardware.vendor,
        "url": hardware.url,
        "frameworks": ["tinyvision"],
        "build": {
            "mcu": hardware.mcu.lower(),
            "cpu": board.core.cpu,
            "fpu": board.core.fpu,
            "f_cpu": f"{round(board.clock_mhz * 1_000_000)}L",
            "drivers": drivers,
        },
        "upload": {
            "maximum_size": board.flash_bytes,
            "maximum_ram_size": hardware.memory(hardware.layout.ram).size_bytes,
            "protocol": next(iter(uploads), ""),
            "protocols": list(uploads),
            "targets": uploads,
        },
    }
    return json.dumps(manifest, indent=2) + "\n"
