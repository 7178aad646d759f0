"""The zoo as a table: what each network costs on a board, before anything is trained.

A network is built with seeded weights and quantized with random pictures. Neither changes what
it costs, except that passes may find fewer dead channels than in a trained one. Conversion and
planning take seconds a network, a profile on the virtual board longer: results are kept in the
user's cache, under hashes of everything they follow from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tinyvision import importer, zoo
from tinyvision.api import Where, profile
from tinyvision.build import Model, plan
from tinyvision.errors import FitError, UserError
from tinyvision.files import write_whole
from tinyvision.ir.macs import graph_macs
from tinyvision.native import cache_folder
from tinyvision.resources import data_folder
from tinyvision.target import Board
from tinyvision.train.needs import require_tensorflow

PACKAGE = Path(__file__).parent
SEED = 1
PICTURES = 8
NO_TENSORFLOW = "needs TensorFlow: pip install 'tinyvision[train]'"


def row(name: str, board: Board | None = None, latency: bool = False) -> dict[str, Any]:
    """A row of ``zoo --json``. What is not known is None, and ``why`` says why where that is not
    plain: the network does not fit, or TensorFlow is not installed. Without a board there are MACs
    and parameters only. The latency is the plan's estimate; ``latency``: modelled, by a run on
    the board's virtual twin, as is one that the cache holds from before.
    """
    network = zoo.network(name)
    result: dict[str, Any] = {
        "name": name,
        "source": network.source,
        "input": [*network.resolution, network.image_channels],
        "width": network.width,
        "classes": network.classes,
        **dict.fromkeys(("macs", "parameters", "fits", "sram_bytes", "flash_bytes")),
        **dict.fromkeys(("latency_ms", "latency_source", "latency_basis")),
        "why": "",
    }
    if find_spec("tensorflow") is None and not _model_path(name).exists():
        return result | {"why": NO_TENSORFLOW}
    result |= _cached(name, "size", None, _size)
    if board is None:
        return result
    result |= _cached(name, "plan", board, _memory)
    known = _entry(name, "latency", board).exists()
    if result["fits"] and board.hardware is not None and (latency or known):
        result |= _cached(name, "latency", board, _latency)
    return result


def rows(
    names: Iterable[str], board: Board | None, latency: bool, done: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A row a network; ``done`` hears of each."""
    found = []
    for name in names:
        found.append(row(name, board, latency))
        done(name)
    return found


def int8_network(name: str) -> Model:
    """The network with seeded weights as an int8 ``.tflite``; from the cache where it is there."""
    path = _model_path(name)
    if not path.exists():
        if find_spec("tensorflow") is None:
            raise UserError(f"the int8 form of {name} {NO_TENSORFLOW}")
        require_tensorflow()
        from tinyvision.train.quantization import ptq

        model = zoo.build(name, seed=SEED)
        random = np.random.default_rng(SEED)
        pixels = random.integers(-128, 128, (PICTURES, *model.input_shape[1:]))
        write_whole(path, ptq(model, pixels.astype(np.float32) / 128))
    data = path.read_bytes()
    return Model(path, data, importer.from_bytes(data, name, str(path)))


def _size(name: str, board: Board | None) -> dict[str, Any]:
    """Parameters are weights and biases, with every batch norm folded into them."""
    graph = int8_network(name).graph
    constants = sum(t.elements for t in graph.tensors.values() if t.is_constant)
    return {"macs": graph_macs(graph), "parameters": constants}


def _memory(name: str, board: Board) -> dict[str, Any]:
    try:
        planned = plan(int8_network(name), board).plan
    except FitError as error:
        return {"fits": False, "why": str(error)}
    return {
        "fits": True,
        "sram_bytes": planned.sram_bytes,
        "flash_bytes": planned.flash_bytes,
        "latency_ms": round(planned.estimated_ms, 3) or None,
        "latency_source": "estimated",
        "latency_basis": "a sum over the plan's kernels (docs/costs.md)",
    }


def _latency(name: str, board: Board) -> dict[str, Any]:
    with TemporaryDirectory(prefix="tinyvision-zoo-") as folder:
        out = Path(folder) / "firmware"
        _, taken = profile(int8_network(name), board, where=Where(virtual=True), out=out)
    return {
        "latency_ms": round(taken.latency_ms, 3),
        "latency_source": taken.source,
        "latency_basis": taken.basis,
    }


def _cached(
    name: str, what: str, board: Any, compute: Callable[[str, Any], dict[str, Any]]
) -> dict[str, Any]:
    path = _entry(name, what, board)
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return known
    value = compute(name, board)
    write_whole(path, json.dumps(value))
    return value


def _entry(name: str, what: str, board: Board | None) -> Path:
    """Results follow from the network, the board and all of this program."""
    key = _digest(_model_path(name).name, repr(board), _program())
    return cache_folder() / "zoo" / f"{name}-{what}-{key}.json"


def _model_path(name: str) -> Path:
    """A converted network follows from its description, the code that builds and quantizes it, and
    TensorFlow's version.
    """
    code = [PACKAGE / "zoo" / "blocks.py", PACKAGE / "zoo" / "describe.py"]
    code += sorted((PACKAGE / "train" / "quantization").glob("*.py"))
    try:
        tensorflow = version("tensorflow")
    except PackageNotFoundError:
        tensorflow = ""
    key = _digest(repr(zoo.network(name)), tensorflow, str(SEED), str(PICTURES), _contents(code))
    return cache_folder() / "zoo" / f"{name}-{key}.tflite"


@lru_cache(maxsize=1)
def _program() -> str:
    templates = data_folder("codegen_templates"), data_folder("firmware")
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.[ch]")]
    return _contents([*files, *(p for folder in templates for p in folder.rglob("*"))])


def _contents(paths: Iterable[Path]) -> str:
    return _digest(*(f"{p.name} {p.read_bytes()!r}" for p in sorted(paths) if p.is_file()))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
