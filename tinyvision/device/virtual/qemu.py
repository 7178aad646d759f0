"""A board that QEMU emulates, behind the same kind of port as our own virtual boards."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from math import log2
from pathlib import Path
from types import TracebackType
from typing import Any

from tinyvision.device.profile import LayerCost
from tinyvision.errors import BoardError, ToolError
from tinyvision.target.board import Board

log = logging.getLogger(__name__)

START_SECONDS = 20


class QemuBoard:
    """Runs a firmware's ELF file on ``qemu-system-arm``; context manager, ``port`` as usual.

    QEMU executes an instruction every ``2**shift`` nanoseconds of its time, as near to the board's
    clock as that allows, so that a timer counts instructions.
    """

    basis = "instruction count"

    def __init__(self, elf: Path, board: Board) -> None:
        if board.hardware is None or board.hardware.twin.engine != "qemu":
            raise BoardError(f"board '{board.name}' has no virtual twin of this kind")
        cycle_ns = 1000 / board.clock_mhz
        shift = max(0, round(log2(cycle_ns)))
        self._instructions_per_tick = cycle_ns / 2**shift
        program = shutil.which("qemu-system-arm")
        if program is None:
            raise ToolError(
                "qemu-system-arm is missing",
                board.name,
                "its virtual twin runs on QEMU",
                "On Debian: apt-get install qemu-system-arm.",
            )
        self._folder = tempfile.TemporaryDirectory(prefix="tinyvision-qemu-")
        self._log = Path(self._folder.name) / "log"
        monitor = Path(self._folder.name) / "qmp"
        command = [
            program,
            *("-M", board.hardware.twin.machine),
            *("-display", "none", "-monitor", "none", "-nodefaults"),
            *("-icount", f"shift={shift}"),
            *("-chardev", "socket,id=uart,host=127.0.0.1,port=0,server=on,wait=off,nodelay=on"),
            *("-serial", "chardev:uart"),
            *("-qmp", f"unix:{monitor},server=on,wait=off"),
            *("-kernel", str(elf)),
        ]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            self.port = self._port(monitor)
        except BaseException:
            self.close()
            raise

    def _port(self, monitor: Path) -> str:
        """Asks QEMU on which port its UART listens."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(START_SECONDS)
                    connection.connect(str(monitor))
                    return self._ask_port(connection)
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.02)
        raise ToolError("QEMU did not start", "qemu-system-arm", self._said())

    def _ask_port(self, connection: socket.socket) -> str:
        stream = connection.makefile("rw", encoding="utf-8")
        stream.readline()  # the greeting
        for command in ("qmp_capabilities", "query-chardev"):
            stream.write(json.dumps({"execute": command}) + "\n")
            stream.flush()
            answer: dict[str, Any] = {}
            while "return" not in answer:
                answer = json.loads(stream.readline())
                if "error" in answer:
                    raise ToolError("QEMU did not start", "qemu-system-arm", str(answer["error"]))
        names = {device["label"]: device["filename"] for device in answer["return"]}
        # disconnected:tcp:127.0.0.1:43210,server=on
        address = str(names["uart"]).split("tcp:")[1].split(",")[0]
        return f"socket://{address}"

    def _said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]

    def __enter__(self) -> QemuBoard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Switches the board off."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def layer_costs(self, cycles: Sequence[int]) -> list[LayerCost]:
        """See ``profile.Twin``: a tick of the timer stands for almost one instruction."""
        counts = [round(ticks * self._instructions_per_tick) for ticks in cycles]
        return [LayerCost(count, count) for count in counts]

    def problem(self) -> str | None:
        """What QEMU said when it ended, None while it runs."""
        if self._process.poll() is None:
            return None
        return f"QEMU has ended: {self._said() or self._process.returncode}"
