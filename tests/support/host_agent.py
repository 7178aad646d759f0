"""The agent of the firmware as a process on this machine, built with sanitizers."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from tests.support import fake_model
from tinyvision.device.protocol import Decoder, Frame, encode
from tinyvision.resources import data_folder
from tinyvision.target import load_board

FLAGS = (
    "-std=gnu99",
    "-O1",
    "-g",
    *("-Wall", "-Wextra", "-Werror", "-Wconversion"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"),
)


def build_host_agent(folder: Path) -> Path:
    """Compiles the agent around the fake network; the path of the program."""
    firmware = data_folder("firmware")
    model = folder / "model"
    for path, text in fake_model.library(load_board("host")).items():
        target = model / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    program = folder / "host_agent"
    sources = [*sorted((firmware / "agent" / "src").glob("*.c")), firmware / "host/host_agent.c"]
    command = [
        "cc",
        *FLAGS,
        f"-I{firmware / 'agent' / 'include'}",
        f"-I{model / 'include'}",
        '-DHOST_MODEL_HEADER="tv_fake.h"',
        "-DHOST_MODEL=tv_fake",
        *map(str, sources),
        str(model / "src" / "tv_fake.c"),
        "-o",
        str(program),
    ]
    subprocess.run(command, check=True)
    return program


class HostAgent:
    """A running agent. Context manager; leaving it closes its input and expects a clean end."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._decoder = Decoder()
        self._sequence = 0

    def __enter__(self) -> HostAgent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if kind is not None:
            self._process.kill()
        errors = self._process.stderr.read().decode(errors="replace")
        status = self._process.wait(timeout=20)
        self._process.stdout.close()
        self._process.stderr.close()
        if kind is None and status != 0:
            raise AssertionError(f"the agent ended with status {status}:\n{errors}")

    def exchange(self, wires: Iterable[bytes], last: Frame) -> list[Frame]:
        """Sends raw bytes, then the frame ``last``; every frame up to the answer to ``last``.

        Raises AssertionError when the agent dies or sends anything that is not a sound frame.
        """
        try:
            self._process.stdin.write(b"".join(wires) + b"\0" + encode(last))
            self._process.stdin.flush()
        except BrokenPipeError:
            self._died()
        answers: list[Frame] = []
        while not answers or (answers[-1].seq, answers[-1].command) != (
            last.seq,
            last.command | 0x80,
        ):
            data = self._process.stdout.read1(65536)
            if not data:
                self._died()
            for frame in self._decoder.feed(data):
                answers.append(frame)
            assert self._decoder.bad_frames == 0, "the agent sent a broken frame"
        return answers

    def request(self, command: int, payload: bytes = b"") -> bytes:
        """One request; status and payload of its answer."""
        self._sequence = self._sequence % 255 + 1
        return self.exchange([], Frame(self._sequence, command, payload))[-1].body

    def _died(self) -> None:
        self._process.wait(timeout=20)
        errors = self._process.stderr.read().decode(errors="replace")
        raise AssertionError(f"the agent died:\n{errors[:4000]}")
