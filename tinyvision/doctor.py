"""Looks whether everything is here that a build, a flash, a profile or a training needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

TIMEOUT_S = 20


@dataclass(frozen=True)
class Finding:
    """One thing looked for. ``hint`` says how to mend it; ``optional`` ones fail nothing."""

    name: str
    ok: bool
    detail: str
    hint: str = ""
    optional: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """Every check, in the order of the main path. Imports nothing heavy and changes nothing."""
    return [check() for check in CHECKS]


def _first_line(*command: str) -> str | None:
    """First line of what a tool prints, or None where it is missing or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def _tool(
    name: str, command: str, use: str, hint: str, optional: bool = False
) -> Callable[[], Finding]:
    def check() -> Finding:
        version = _first_line(command, "--version")
        return Finding(name, version is not None, version or f"not found; {use}", hint, optional)

    return check


def _package(
    name: str, module: str, use: str, hint: str, optional: bool = False
) -> Callable[[], Finding]:
    def check() -> Finding:
        if importlib.util.find_spec(module) is None:
            return Finding(name, False, f"not installed; {use}", hint, optional)
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "installed"
        return Finding(name, True, version, hint, optional)

    return check


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info >= (3, 10), version, "Install Python 3.10 or newer.")


def _cross_compiler() -> Finding:
    name, hint = (
        "arm-none-eabi-gcc",
        (
            "Debian, Ubuntu: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi. Elsewhere "
            "PlatformIO fetches its own at the first build."
        ),
    )
    version = _first_line("arm-none-eabi-gcc", "--version")
    if version is None:
        return Finding(name, False, "not on PATH", hint)
    # Without newlib gcc echoes the bare name back instead of a path.
    library = _first_line("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-print-file-name=libc_nano.a")
    if library is None or not os.path.isabs(library):  # noqa: PTH117 - a tool's output, not a path
        return Finding(name, False, f"{version}, but no newlib", hint)
    return Finding(name, True, version, hint)


def _serial_ports() -> Finding:
    from serial.tools import list_ports

    ports = [port.device for port in list_ports.comports()]
    detail = ", ".join(ports) if ports else "none found; needed for a board, not for its twin"
    hint = (
        "Plug the board in. On Linux join the group that owns the port "
        "(`sudo usermod -aG dialout $USER`, then log in again) and install the probe's udev rules."
    )
    return Finding("serial ports", bool(ports), detail, hint, optional=True)


CHECKS: tuple[Callable[[], Finding], ...] = (
    _python,
    _cross_compiler,
    _package("platformio", "platformio", "builds need it", "pip install platformio"),
    _package("SCons", "SCons", "PlatformIO needs it offline", "pip install scons", optional=True),
    _tool("host compiler", "cc", "verify --host needs it", "apt install gcc libc6-dev", True),
    _package("unicorn", "unicorn", "virtual boards need it", "pip install unicorn==2.1.4"),
    _tool(
        "qemu-system-arm",
        "qemu-system-arm",
        "virtual boards with MVE need it",
        "apt install qemu-system-arm",
        True,
    ),
    _package(
        "tflite-runtime",
        "tflite_runtime",
        "the numpy oracle stands in for it",
        "pip install tflite-runtime==2.14.0 (Python up to 3.11)",
        True,
    ),
    _package("pyocd", "pyocd", "flashes most boards", "pip install pyocd", True),
    _tool("openocd", "openocd", "flashes ST boards", "apt install openocd", True),
    _tool("st-flash", "st-flash", "flashes ST boards", "apt install stlink-tools", True),
    _serial_ports,
    _package(
        "tensorflow", "tensorflow", "training needs it", "pip install 'tinyvision[train]'", True
    ),
)
