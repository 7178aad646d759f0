"""Inputs to verify with: drawn from a seed, or read from a file that nobody vouches for."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyvision.errors import UserError
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import Array, DType, Tensor

MAX_FILE_BYTES = 1 << 30
"""Uncompressed size of a ``.npz`` file that is still read."""
MAX_SAMPLES = 1_000_000

_EDGES = 3


@dataclass(frozen=True)
class Samples:
    """``inputs[i]``: one array for each input of the model, in its external type and shape;
    ``expected[i]``: for each output, or empty where there is nothing to compare with.
    """

    inputs: list[list[Array]]
    expected: list[list[Array]]


def draw(graph: Graph, count: int, seed: int = 0) -> Samples:
    """``count`` samples, the same for the same seed: noise, and for 4 or more the three extremes
    (lowest, highest, zero point) as the last ones.
    """
    random = np.random.default_rng(seed)
    edges = _EDGES if count > _EDGES else 0
    rows = [[_noise(graph, name, random) for name in graph.inputs] for _ in range(count - edges)]
    rows += [[_edge(graph, name, edge) for name in graph.inputs] for edge in range(edges)]
    return Samples(rows, [])


def _noise(graph: Graph, name: str, random: np.random.Generator) -> Array:
    stored = _stored(graph, name)
    if stored is None:
        return random.standard_normal(graph.tensor(name).shape, np.float32)
    low, high = _range(stored)
    if graph.external_dtype(name) is DType.FLOAT32:  # some of it outside of what int8 can hold
        margin = (high - low) // 16
        steps = random.uniform(low - margin, high + margin, stored.shape)
        return _to_external(graph, name, stored, steps)
    return _to_external(graph, name, stored, random.integers(low, high + 1, stored.shape))


def _edge(graph: Graph, name: str, edge: int) -> Array:
    stored = _stored(graph, name)
    if stored is None:
        return np.full(graph.tensor(name).shape, (-1e3, 1e3, 0.0)[edge], np.float32)
    zero = stored.zero_point if stored.quant is not None else 0
    value = (*_range(stored), zero)[edge]
    return _to_external(graph, name, stored, np.full(stored.shape, value))


def _stored(graph: Graph, name: str) -> Tensor | None:
    """The integer tensor that an input ends up in: itself, or what quantizes a float32 one; None
    where nothing does.
    """
    tensor = graph.tensor(name)
    if tensor.dtype is not DType.FLOAT32:
        return tensor
    readers = [op for op in graph.ops if name in op.inputs and op.kind == "Quantize"]
    return graph.tensor(readers[0].outputs[0]) if readers else None


def _range(tensor: Tensor) -> tuple[int, int]:
    info = np.iinfo(tensor.dtype.numpy)
    return int(info.min), int(info.max)


def _to_external(graph: Graph, name: str, stored: Tensor, steps: Array) -> Array:
    """Numbers in the integers of ``stored``, as the outside world writes them to input ``name``."""
    external = graph.external_dtype(name)
    if external is DType.FLOAT32:
        return ((steps - stored.zero_point) * stored.scale).astype(np.float32)
    offset = 128 if external is DType.UINT8 and stored.dtype is DType.INT8 else 0
    return (steps + offset).astype(external.numpy)


def read(path: Path, graph: Graph) -> Samples:
    """Samples from a ``.npz`` file: ``inputs`` (or ``inputs_0``, ``inputs_1``...) of N times the
    input's shape, and perhaps ``outputs_0``... to compare with.

    UserError for anything else in it; nothing in the file is executed or trusted in size.
    """
    arrays = _read_arrays(path)
    keys = [f"inputs_{i}" for i in range(len(graph.inputs))]
    if "inputs" in arrays and len(keys) == 1:
        keys = ["inputs"]
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise UserError(
            f"the file has no array '{missing[0]}'",
            str(path),
            f"of inputs and outputs it has {_listed(arrays)}",
            f"The model has {len(graph.inputs)} input(s).",
        )
    inputs = [
        _batch(path, key, arrays[key], graph, name)
        for key, name in zip(keys, graph.inputs, strict=True)
    ]
    counts = {len(batch) for batch in inputs}
    wanted = [f"outputs_{i}" for i in range(len(graph.outputs))]
    given = {key for key in arrays if key.startswith("outputs")}
    if given and given != set(wanted):
        raise UserError(
            "the file's outputs are not the model's",
            str(path),
            f"it has {_listed(given)}, the model gives {_listed(wanted)}",
        )
    outputs = [
        _batch(path, key, arrays[key], graph, name)
        for key, name in zip(wanted, graph.outputs, strict=True)
        if key in given
    ]
    counts |= {len(batch) for batch in outputs}
    if len(counts) != 1 or not 0 < min(counts) <= MAX_SAMPLES:
        raise UserError(
            "the arrays disagree on the number of samples", str(path), f"{sorted(counts)}"
        )
    return Samples(_rows(inputs), _rows(outputs))


def _listed(names: Iterable[str]) -> str:
    """Names as a message shows them; a file may have any number of any length."""
    shown = [name[:40] for name in sorted(names)[:6]]
    return ", ".join(shown) or "none"


def _rows(batches: Sequence[Array]) -> list[list[Array]]:
    return [list(row) for row in zip(*batches, strict=True)]


def _batch(path: Path, key: str, array: Array, graph: Graph, name: str) -> Array:
    """Checked to be N times the shape of tensor ``name``, in its external type."""
    shape, dtype = graph.tensor(name).shape, graph.external_dtype(name).numpy
    if array.dtype != dtype:
        raise UserError(f"'{key}' is {array.dtype}, the model's '{name}' is {dtype}", str(path))
    if array.shape[1:] == shape[1:] and shape[:1] == (1,):  # the batch of 1 left out
        array = array.reshape(-1, *shape)
    if array.shape[1:] != shape:
        raise UserError(
            f"'{key}' has the shape {array.shape}, not N x {shape}",
            str(path),
            hint=f"'{name}' of the model is {'x'.join(map(str, shape))}.",
        )
    return array


def _read_arrays(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_FILE_BYTES:
            raise UserError("the file is too large", str(path), f"{size:,} bytes of arrays")
        with np.load(path, allow_pickle=False) as file:
            # Members that are no arrays come as bytes.
            wanted = [key for key in file.files if key.startswith(("inputs", "outputs"))]
            return {key: np.asanyarray(file[key]) for key in wanted}
    except FileNotFoundError:
        raise UserError("there is no such file", str(path)) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise UserError(
            "the file holds no arrays that can be read",
            str(path),
            str(error).splitlines()[0] if str(error) else type(error).__name__,
            "Write it with numpy.savez(file, inputs=...).",
        ) from error
