"""``.tflite`` files to graphs. A file is taken for hostile until every part of it has been checked.

``flatbuffer`` reads bytes, ``model_file`` the file's tables, ``tensors`` makes tensors of them;
``registry`` lists the operators, converted in ``convolution``, ``elementwise``, ``spatial`` and
``layout``; ``graph_builder`` puts the graph together.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tinyvision.errors import ModelError, UnsupportedError
from tinyvision.importer import schema
from tinyvision.importer.graph_builder import GraphBuilder
from tinyvision.importer.labels import read_fit, read_labels
from tinyvision.importer.model_file import parse
from tinyvision.importer.problems import CheckReport, Problem, summarize
from tinyvision.ir.graph import Graph

__all__ = [
    "CheckReport", "Problem", "check", "check_bytes", "from_bytes", "load", "model_hash", "read",
]  # fmt: skip

MAX_FILE_BYTES = 64 << 20


def load(path: str | Path) -> Graph:
    """The graph of a ``.tflite`` file, named after it.

    Raises ModelError for a file that is missing or broken, and UnsupportedError, with all of the
    reasons, for one that cannot be compiled.
    """
    return _from_bytes(read(path), Path(path).stem, str(path))


def from_bytes(data: bytes, name: str = "model", where: str = "") -> Graph:
    """Like ``load``, from a file's bytes; ``name`` names the graph, ``where`` the file in errors
    (default: ``name``).
    """
    return _from_bytes(data, name, where or name)


def check(path: str | Path) -> CheckReport:
    """Everything in the file that is not supported. Raises ModelError for a broken file."""
    return check_bytes(read(path), str(path))


def check_bytes(data: bytes, name: str = "model") -> CheckReport:
    """Like ``check``, from a file's bytes."""
    builder = _builder(data, name, name)
    builder.build()
    return CheckReport(name, builder.operator_counts(), tuple(builder.problems))


def read(path: str | Path) -> bytes:
    """A model file's bytes; ModelError where it cannot be read or is absurdly large."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)  # a device may have no end
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelError(
            "the model file cannot be read", str(path), reason, "Give the path of a .tflite file."
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(
            "the model file is too large",
            str(path),
            f"it has more than {MAX_FILE_BYTES:,} bytes",
            "No board holds such a model.",
        )
    return data


def model_hash(data: bytes) -> bytes:
    """What identifies a model file on a board: the first 16 bytes of its SHA-256."""
    return hashlib.sha256(data).digest()[:16]


def _builder(data: bytes, name: str, where: str) -> GraphBuilder:
    if len(data) > MAX_FILE_BYTES:
        raise ModelError("the model is too large", where, f"it has {len(data)} bytes")
    if data[4:8] != schema.IDENTIFIER:
        raise ModelError(
            "this is not a .tflite file",
            where,
            "its bytes 4 to 7 are not TFL3",
            "Convert the model with TensorFlow Lite's converter, to int8.",
        )
    return GraphBuilder(parse(data, where), name)


def _from_bytes(data: bytes, name: str, where: str) -> Graph:
    builder = _builder(data, name, where)
    graph = builder.build()
    if graph is None:
        problems = builder.problems
        count = "one thing" if len(problems) == 1 else f"{len(problems)} things"
        raise UnsupportedError(
            f"the model uses {count} that cannot be compiled",
            summarize(problems),
            where,
            "`tinyvision check` lists them.",
        )
    return Graph(
        graph.name,
        graph.tensors,
        graph.ops,
        graph.inputs,
        graph.outputs,
        labels=read_labels(data),
        fit=read_fit(data),
    )
