"""Ctrl-C: the program ends at once and leaves no process and no half-built firmware."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "tinyvision" / "demo" / "digits.tflite"
SECONDS = 60


def interrupted(folder: Path, ready: Callable[[], bool], *arguments: object) -> tuple[int, str]:
    """Exit code and stderr of the program, interrupted (it alone) as soon as ``ready()``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tinyvision", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores it, and so would all that the tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not ready():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    return process.returncode, errors


def processes_in(folder: Path) -> list[str]:
    """Command lines of the processes whose working directory is in ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve().is_relative_to(folder.resolve()):
                found.append((process / "cmdline").read_text())
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")
def test_while_compiling(private_platformio, tmp_path):
    objects = tmp_path / "out" / ".pio" / "build" / "stm32h7"
    code, errors = interrupted(
        tmp_path, lambda: any(objects.rglob("*.o")), "build", DIGITS, "-b", "stm32h7", "-o", "out"
    )
    assert (code, errors) == (130, "interrupted\n")
    assert processes_in(tmp_path) == []
    assert not (objects / "firmware.elf").exists()


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")
def test_while_verifying(private_platformio, tmp_path):
    elf = tmp_path / "out" / ".pio" / "build" / "stm32h7" / "firmware.bin"
    options = ("-b", "stm32h7", "--virtual", "--samples", 100_000, "-o", "out")
    started: list[float] = []

    def running() -> bool:
        if elf.exists() and not started:
            started.append(time.monotonic())
        return bool(started) and time.monotonic() > started[0] + 2

    code, errors = interrupted(tmp_path, running, "verify", DIGITS, *options)
    assert (code, errors) == (130, "interrupted\n")
    assert processes_in(tmp_path) == []
