"""Drives PlatformIO: a private home, no telemetry, no update checks, and clear errors first."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType

from tinyvision.errors import ToolError
from tinyvision.resources import data_folder

_log = logging.getLogger(__name__)

REGISTRY = ("api.registry.platformio.org", 443)
TOOLCHAIN = "toolchain-gccarmnoneeabi"
GRACE_S = 10.0


def core_dir() -> Path:
    """PlatformIO's home for tinyvision: ``PLATFORMIO_CORE_DIR``, or a folder of our own cache.

    Not ``~/.platformio``: what is there belongs to the user's other projects.
    """
    given = os.environ.get("PLATFORMIO_CORE_DIR")
    if given:
        return Path(given)
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "tinyvision" / "platformio"


def environment() -> dict[str, str]:
    """Environment variables for PlatformIO. Update checks and telemetry cost minutes offline."""
    return os.environ | {
        "PLATFORMIO_CORE_DIR": str(core_dir()),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "false",
        "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "36500",  # Core 6.1
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",  # Core 6.2
        "PLATFORMIO_SETTING_CHECK_PRUNE_SYSTEM_THRESHOLD": "0",
        "PLATFORMIO_NO_ANSI": "true",
        "PLATFORMIO_DISABLE_PROGRESSBAR": "true",
    }


def toolchain_folder() -> Path | None:
    """Folder of the cross compiler that a build will use, or None where PlatformIO fetches one."""
    system: Path | None = _platform_module("toolchain").system_toolchain()
    if system:
        return system
    folder = core_dir() / "packages" / TOOLCHAIN / "bin"
    return folder if folder.is_dir() else None


def require_tools() -> None:
    """Raises ToolError where a build cannot work: no PlatformIO, or no compiler and no network.

    PlatformIO itself would be silent for a minute and then fail without a word.
    """
    if importlib.util.find_spec("platformio") is None:
        raise ToolError("PlatformIO is missing", hint="Install it: pip install platformio scons.")
    scons = importlib.util.find_spec("SCons") or (core_dir() / "packages" / "tool-scons").is_dir()
    missing = [
        name
        for name, found in (("SCons", scons), ("arm-none-eabi-gcc with newlib", toolchain_folder()))
        if not found
    ]
    if missing and not _registry_reachable():
        raise ToolError(
            f"{' and '.join(missing)} is missing",
            why="PlatformIO cannot fetch it either: its registry is out of reach",
            hint="On Debian: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi; "
            "SCons: pip install scons.",
        )


def run(
    project: Path,
    arguments: Sequence[str],
    on_line: Callable[[str], None] | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, str]:
    """Runs ``pio`` in a project; returns its exit status and the last 200 lines it printed.

    ``variables`` are added to its environment.
    """
    try:
        for name in ("packages", ".cache/downloads", ".cache/tmp", ".cache/http"):
            (core_dir() / name).mkdir(parents=True, exist_ok=True)  # PlatformIO races with itself
    except OSError as error:
        raise ToolError(
            "PlatformIO has nowhere to work",
            str(core_dir()),
            error.strerror or str(error),
            "Name another folder in the variable PLATFORMIO_CORE_DIR.",
        ) from error
    command = [sys.executable, "-m", "platformio", *arguments]
    _log.debug("%s in %s", " ".join(command), project)
    lines: deque[str] = deque(maxlen=200)
    with subprocess.Popen(
        command,
        cwd=project,
        env=environment() | dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line)
                _log.debug("%s", line.rstrip())
                if on_line:
                    on_line(line.rstrip())
        except BaseException:
            _end(process)
            raise
    return process.returncode, "".join(lines)


def _end(process: subprocess.Popen[str]) -> None:
    """Ends ``pio`` with SCons and compilers below it, which it would leave to themselves.

    SCons tidies up after a SIGTERM and so outlives ``pio``; whoever has not ended after
    ``GRACE_S`` seconds is killed.
    """
    if sys.platform == "win32":
        process.terminate()
        process.wait()
        return
    deadline = time.monotonic() + GRACE_S
    with contextlib.suppress(ProcessLookupError):  # raised once nobody of the group is left
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            process.poll()  # reaps pio, which would count as one of the group
            os.killpg(process.pid, 0)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _registry_reachable() -> bool:
    try:
        with socket.create_connection(REGISTRY, timeout=3):
            return True
    except OSError:
        return False


def _platform_module(name: str) -> ModuleType:
    """A module of our PlatformIO platform, which has to work without tinyvision installed."""
    path = data_folder("firmware") / "platform" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"tinyvision_platform_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
