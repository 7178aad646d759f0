"""Generated C on the host: compiled with the system's compiler, run in a process of its own.

A crash or a sanitizer's finding ends that process and becomes a ToolError that quotes it.
"""

from __future__ import annotations

import logging
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from tinyvision.codegen.names import c_identifier
from tinyvision.codegen.render import render
from tinyvision.errors import ToolError
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array
from tinyvision.schedule.plan import Buffer, Plan

_LOG = logging.getLogger(__name__)

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes")
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

_OPEN, _WRITE, _READ, _RUN, _FEED, _FETCH, _PUSH = range(7)


@dataclass(frozen=True)
class HostModel:
    """What the runner needs of one model: its graph after the passes, its plan, its files."""

    graph: Graph
    plan: Plan
    files: Mapping[str, str]


def compiler() -> str:
    """The host's C compiler; raises ToolError where there is none."""
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        path = shutil.which(name) if name else None
        if path:
            return path
    raise ToolError("no C compiler found", hint="Install gcc, or name one in the variable CC.")


def compile_models(
    models: Sequence[HostModel],
    directory: Path,
    *,
    optimize: str = "-O1",
    sanitize: bool = False,
    flags: Sequence[str] = (),
) -> Path:
    """Compiles ``models`` into one program that serves them (see ``host_main.c.j2``)."""
    names = [c_identifier(model.graph.name) for model in models]
    if len(set(names)) != len(names):
        raise ValueError("models of one host program need different names")
    sources: list[Path] = []
    for model in models:
        for relative, text in model.files.items():
            path = directory / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if path.suffix == ".c":
                sources.append(path)
    main = directory / "host_main.c"
    main.write_text(render("host_main.c.j2", {"models": names}), encoding="utf-8")
    program = directory / "host_model"
    command = [
        compiler(),
        *WARNINGS,
        optimize,
        *(SANITIZERS if sanitize else ()),
        *flags,
        "-D_POSIX_C_SOURCE=200112L",
        f"-I{directory / 'include'}",
        f"-I{directory / 'src'}",
        *map(str, sources),
        str(main),
        "-o",
        str(program),
    ]
    _LOG.debug("%s", " ".join(command))
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ToolError("the generated C does not compile", command[0], result.stderr[-4000:])
    return program


class HostProgram:
    """A running program of ``compile_models``; a context manager.

    Steps through layers and reads any buffer by its place in the plan, so that a caller can find
    the first layer that diverges.
    """

    def __init__(
        self,
        models: Sequence[HostModel],
        *,
        optimize: str = "-O1",
        sanitize: bool = False,
        flags: Sequence[str] = (),
    ) -> None:
        self.models = tuple(models)
        self._folder = tempfile.TemporaryDirectory(prefix="tinyvision-host-")
        try:
            program = compile_models(
                self.models,
                Path(self._folder.name),
                optimize=optimize,
                sanitize=sanitize,
                flags=flags,
            )
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            self._process = subprocess.Popen(
                [str(program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={
                    **os.environ,
                    "ASAN_OPTIONS": "detect_leaks=0",
                    "UBSAN_OPTIONS": "print_stacktrace=1",
                },
            )
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> HostProgram:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process and removes its files."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    _LOG.debug("the host program had ended already")
        self._process.wait()
        self._errors.close()
        self._folder.cleanup()

    def open(self, model: int = 0, fill: int = 0xA5) -> None:
        """Allocates the model's banks anew, every byte ``fill``."""
        self._request(_OPEN, model, fill)

    def feed(self, inputs: Sequence[Array], model: int = 0) -> None:
        """Writes the network's inputs in their external element types."""
        graph = self.models[model].graph
        for index, (name, array) in enumerate(zip(graph.inputs, inputs, strict=True)):
            data = np.ascontiguousarray(array, graph.external_dtype(name).numpy)
            if data.shape != graph.tensor(name).shape:
                raise ValueError(f"input {name!r} is {data.shape}, not {graph.tensor(name).shape}")
            self._request(_FEED, model, index, 0, data.size, payload=data.tobytes())

    def run_layers(self, first: int, count: int, model: int = 0) -> None:
        self._request(_RUN, model, first, count)

    def fetch(self, model: int = 0) -> list[Array]:
        """The network's outputs in their external element types."""
        graph = self.models[model].graph
        result = []
        for index, name in enumerate(graph.outputs):
            tensor, dtype = graph.tensor(name), graph.external_dtype(name)
            size = tensor.elements * dtype.size_bytes
            data = self._request(_FETCH, model, index, 0, tensor.elements, answer=size)
            result.append(np.frombuffer(data, dtype.numpy).reshape(tensor.shape))
        return result

    def run(self, inputs: Sequence[Array], model: int = 0) -> list[Array]:
        """One whole inference in freshly painted banks."""
        self.open(model)
        self.feed(inputs, model)
        self.run_layers(0, len(self.models[model].plan.units), model)
        return self.fetch(model)

    def push(self, inputs: Sequence[Array], model: int = 0, at_once: int = 1) -> list[Array]:
        """One whole inference in freshly painted banks, the input fed row by row (``at_once``
        rows a call); ``plan.rows_arrive`` must hold.
        """
        graph = self.models[model].graph
        (name,), (array,) = graph.inputs, inputs
        rows = np.ascontiguousarray(array, graph.external_dtype(name).numpy)[0]
        self.open(model)
        for first in range(0, len(rows), at_once):
            some = rows[first : first + at_once]
            data = some.tobytes()
            answer = self._request(
                _PUSH, model, int(first == 0), len(some), len(data), payload=data, answer=4
            )
            left = len(rows) - first - len(some)
            if struct.unpack("<I", answer)[0] != left:
                raise ToolError("the generated C has lost count of the rows pushed")
        return self.fetch(model)

    def trace(
        self, inputs: Sequence[Array], model: int = 0
    ) -> Iterator[tuple[int, dict[str, Array]]]:
        """Runs layer by layer; yields each layer's last step and what its operators defined that
        is there when it is done, as read from memory straight after.
        """
        entry = self.models[model]
        self.open(model)
        self.feed(inputs, model)
        for index, (_, last) in enumerate(entry.plan.units):
            self.run_layers(index, 1, model)
            yield (
                last,
                {name: self.tensor(name, model) for name in entry.plan.results(entry.graph, index)},
            )

    def tensor(self, name: str, model: int = 0) -> Array:
        """The bytes where the plan places tensor ``name``, as they are now."""
        entry = self.models[model]
        tensor = entry.graph.tensor(name)
        data = self.read(entry.plan.buffers[name], model)
        return np.frombuffer(data, tensor.dtype.numpy).reshape(tensor.shape)

    def read(self, buffer: Buffer, model: int = 0) -> bytes:
        """The bytes of one buffer of the plan."""
        bank = self._bank(buffer.bank, model)
        return self.read_bank(bank, buffer.offset, buffer.size_bytes, model)

    def read_bank(self, bank: int, offset: int, count: int, model: int = 0) -> bytes:
        return self._request(_READ, model, bank, offset, count, answer=count)

    def write_bank(self, bank: int, offset: int, data: bytes, model: int = 0) -> None:
        self._request(_WRITE, model, bank, offset, len(data), payload=data)

    def _bank(self, name: str, model: int) -> int:
        return [bank.name for bank in self.models[model].plan.banks].index(name)

    def _request(
        self,
        command: int,
        model: int,
        a: int = 0,
        b: int = 0,
        c: int = 0,
        *,
        payload: bytes = b"",
        answer: int = 0,
    ) -> bytes:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(struct.pack("<5I", command, model, a, b, c) + payload)
            self._process.stdin.flush()
            data = self._process.stdout.read(answer + 4)
        except BrokenPipeError:
            data = b""
        if len(data) != answer + 4 or struct.unpack("<I", data[answer:])[0] != command:
            raise ToolError("the generated C failed on the host", why=self._stderr())
        return data[:answer]

    def _stderr(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace").strip()
        return text[:4000] or f"the program ended with {self._process.returncode}"
