"""Mutates ``.tflite`` files: each must end in a graph that ``verify`` accepts, or in a UserError.

    python -m tests.fuzz.fuzz_tflite --count 100000 --seed 0

A case is determined by the seed and its number. Half of them edit the parts of a file before it is
written (extreme integers, indices, shapes, scales, types), half of them its bytes.
"""

from __future__ import annotations

import argparse
import logging
import random
import resource
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import tflite

from tests.support.one_op import constant, one_op, quant, tensor
from tests.support.tflite_samples import SAMPLES, reshape
from tests.support.tflite_writer import TfliteFile, Written, draft
from tinyvision import importer
from tinyvision.errors import UserError
from tinyvision.importer.model_file import parse
from tinyvision.ir import ops
from tinyvision.ir.types import DType, QuantParams, Tensor
from tinyvision.ir.verify import verify

MODELS = Path(__file__).parents[3] / "shared" / "models"

SECONDS_A_CASE = 2.0
EXTRA_MEMORY_BYTES = 256 << 20

EXTREMES = (
    0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**30,
    2**31 - 1, -1, -2, -128, -129, -(2**31),
)  # fmt: skip
SCALES = (0.0, -1.0, 1e-45, 1e-38, 1e-30, 1e-9, 1.0, 1e9, 1e30, 3.4e38, np.inf, -np.inf, np.nan)
SHAPES = ((), (0,), (1,), (-1, 4), (2**31 - 1,) * 4, (65536, 65536), (1,) * 6, (1,) * 64, (2**24,))


class TooSlow(Exception):
    """A case took more processor time than it may."""


# Before writing


def edit_file(file: TfliteFile, rng: random.Random) -> None:
    rng.choice(_EDITS)(file, rng)


def _integer(rng: random.Random) -> int:
    return rng.choice(EXTREMES) if rng.random() < 0.7 else rng.randint(-(2**31), 2**31 - 1)


def _edit_option(file: TfliteFile, rng: random.Random) -> None:
    op = rng.choice(file.operators)
    numbers = [name for name, value in op.fields.items() if not isinstance(value, list)]
    if not numbers:
        return
    name = rng.choice(numbers)
    old = op.fields[name]
    if isinstance(old, float):
        op.fields[name] = rng.choice(SCALES)
    elif isinstance(old, bool):
        op.fields[name] = not old
    else:
        value = _integer(rng)
        narrow = name in ("Padding", "FusedActivationFunction", "Mode", "OutType")
        op.fields[name] = max(-128, min(127, value)) if narrow else value


def _edit_operand(file: TfliteFile, rng: random.Random) -> None:
    op = rng.choice(file.operators)
    chosen = list(op.inputs) if rng.random() < 0.7 else list(op.outputs)
    is_input = chosen == list(op.inputs)
    names = [*(t.name for t in file.tensors), ""]
    kind = rng.randrange(4)
    if kind == 0 and chosen:
        chosen.pop(rng.randrange(len(chosen)))
    elif kind == 1:
        chosen.insert(rng.randint(0, len(chosen)), rng.choice(names))
    elif kind == 2 and chosen:
        chosen[rng.randrange(len(chosen))] = rng.choice(names)
    elif chosen:
        file.index["wild"] = _integer(rng)
        chosen[rng.randrange(len(chosen))] = "wild"
    if is_input:
        op.inputs = chosen
    else:
        op.outputs = chosen


def _edit_tensor(file: TfliteFile, rng: random.Random) -> None:
    index = rng.randrange(len(file.tensors))
    old = file.tensors[index]
    kind = rng.randrange(7)
    if kind == 6:
        signature = [rng.choice((extent, -1)) for extent in old.shape[:6]]
        file.signatures[old.name] = rng.choice((signature, signature, [-1, -1], [_integer(rng)]))
    elif kind == 0:
        file.types[old.name] = rng.choice((*range(20), -1, 127))
    elif kind == 1 and old.data is None:
        file.tensors[index] = replace(old, shape=rng.choice(SHAPES))
    elif kind == 2 and old.data is None and old.shape:
        shape = list(old.shape)
        shape[rng.randrange(len(shape))] = _integer(rng)
        file.tensors[index] = replace(old, shape=tuple(shape))
    elif kind == 3:
        count = max(0, min(300, rng.choice((0, 1, 1, 2, len(old.shape), *old.shape[:1], 300))))
        scales = tuple(rng.choice(SCALES) for _ in range(count))
        zeros = tuple(_integer(rng) for _ in range(rng.choice((count, count, 0, 1))))
        file.tensors[index] = replace(old, quant=QuantParams(scales, zeros, _integer(rng)))
    elif kind == 4 and old.data is not None and old.data.dtype.kind == "i":
        values = old.data.copy()
        info = np.iinfo(values.dtype)
        values.reshape(-1)[: 1 + rng.randrange(3)] = max(info.min, min(info.max, _integer(rng)))
        file.tensors[index] = replace(old, data=values)
    elif kind == 5:
        if old.data is None:
            data = np.zeros((3, 5), np.int8)
            file.tensors[index] = replace(old, data=data, shape=data.shape, dtype=DType.INT8)
        else:
            file.tensors[index] = replace(old, data=None)


def _edit_operator(file: TfliteFile, rng: random.Random) -> None:
    index = rng.randrange(len(file.operators))
    old, other = file.operators[index], rng.choice(file.operators)
    codes = [name for name in vars(tflite.BuiltinOperator) if name.isupper()]
    options = [name for name in vars(tflite.BuiltinOptions) if name in importer.schema.OPTIONS]
    kind = rng.randrange(5)
    if kind == 0:
        file.operators[index] = replace(old, code=rng.choice(codes))
    elif kind == 1:
        file.operators[index] = replace(old, version=_integer(rng))
    elif kind == 2:
        file.operators[index] = replace(old, options=rng.choice(options), fields={})
    elif kind == 3:
        file.operators.insert(rng.randint(0, len(file.operators)), other)
    else:
        file.operators.pop(index)


def _edit_interface(file: TfliteFile, rng: random.Random) -> None:
    names = file.inputs if rng.random() < 0.5 else file.outputs
    file.index["wild"] = _integer(rng)
    if names and rng.random() < 0.5:
        names.pop()
    else:
        names.append(rng.choice([*(t.name for t in file.tensors), "wild"]))


_EDITS: tuple[Callable[[TfliteFile, random.Random], None], ...] = (
    _edit_option, _edit_operand, _edit_tensor, _edit_tensor, _edit_operator, _edit_interface,
)  # fmt: skip


# After writing


def mutate_bytes(data: bytearray, spots: list[int], rng: random.Random) -> bytearray:
    """One mutation; ``spots`` are the bytes that are not weights, where it matters."""
    if not data:
        return data
    at = min(rng.choice(spots), len(data) - 1)
    kind = rng.randrange(10)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    if kind == 1:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 2:
        data[at] = rng.randrange(256)
    elif kind == 3:
        data[at & ~3 : (at & ~3) + 4] = struct.pack("<i", _integer(rng))
    elif kind == 4:
        data[at & ~1 : (at & ~1) + 2] = struct.pack("<H", _integer(rng) & 0xFFFF)
    elif kind == 5:  # a word that is plausible here
        word = struct.unpack("<i", bytes(data[at & ~3 : (at & ~3) + 4]).ljust(4, b"\0"))[0]
        word += rng.choice((-64, -8, -4, -2, -1, 1, 2, 4, 8, 64))
        data[at & ~3 : (at & ~3) + 4] = struct.pack("<I", word & 0xFFFFFFFF)
    elif kind == 6:
        other = min(rng.choice(spots), len(data) - 1)
        length = rng.choice((1, 2, 4, 8, 16, 64))
        data[at : at + length] = data[other : other + length]
    elif kind == 7:
        del data[at : at + rng.choice((1, 2, 4, 8, 64))]
    elif kind == 8:
        data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 4, 16))))
    else:
        length = rng.choice((1, 4, 16, 64))
        data[at : at + length] = bytes((rng.choice((0, 255)),)) * length
    return data


def interesting(data: bytes) -> list[int]:
    """Positions outside of large buffers, in steps that keep the list short."""
    spans = [t.data for t in parse(data, "").tensors if t.data and t.data[1] > 64]
    weights = np.zeros(len(data), bool)
    for start, length in spans:
        weights[start + 16 : start + length - 16] = True
    return [int(i) for i in np.flatnonzero(~weights)]


# Running


def _shape_arithmetic() -> TfliteFile:
    file = draft(reshape())
    for name, value in (("zero", [0]), ("one", [1]), ("rest", 6), ("ones", [1, 1])):
        file.add(constant(name, np.array(value, np.int32)))
    for name, shape in (("shape", (2,)), ("first", ()), ("all", (2,)), ("sizes", (1,)), ("p", ())):
        file.add(Tensor(name, shape, DType.INT32))
    file.operators = [
        Written("SHAPE", ["x"], ["shape"], "ShapeOptions", {"OutType": 2}),
        Written("GATHER", ["shape", "zero"], ["all"], "GatherOptions", {"Axis": 0}),
        Written("STRIDED_SLICE", ["shape", "zero", "one", "one"], ["first"],
                "StridedSliceOptions", {"ShrinkAxisMask": 1, "BeginMask": 0, "EllipsisMask": 0}),
        Written("REDUCE_PROD", ["shape", "zero"], ["p"], "ReducerOptions", {"KeepDims": False}),
        Written("PACK", ["p"], ["sizes"], "PackOptions", {"ValuesCount": 1, "Axis": 0}),
        Written("RESHAPE", ["x", "sizes"], ["y"], "ReshapeOptions", {"NewShape": [6]}),
    ]  # fmt: skip
    file.tensors[file.index["all"]] = Tensor("all", (1,), DType.INT32)
    return file


def _compound() -> TfliteFile:
    """Operators that become several, and shapes that were open at conversion."""
    x = tensor("x", (1, 4, 6, 4))
    file = draft(
        one_op(
            ops.Reshape(name="op", inputs=("x",), outputs=("u",)), [x, tensor("u", (1, 4, 6, 4))]
        )
    )
    file.add(constant("w", np.ones((4, 3, 3, 4), np.int8), quant(1.0)))
    for name, shape in (
        ("s", (4, 4, 5, 4)),
        ("c", (1, 2, 3, 4)),
        ("d", (1, 4, 6, 4)),
        ("t", (1, 8, 6, 4)),
        ("a", (1, 16, 12, 1)),
        ("b", (1, 8, 6, 4)),
        ("p", (1, 2, 8, 6, 4)),
        ("q", (1, 8, 6, 4)),
        ("r", (1, 8, 6, 4)),
        ("m", (1, 4)),
    ):
        file.add(tensor(name, shape))
    file.signatures = {"s": (-1, 4, 5, 4), "c": (-1, 2, 3, 4)}
    for name, value in (
        ("block", [2, 2]),
        ("pads", [[2, 2], [2, 2]]),
        ("crops", [[0, 0], [0, 0]]),
        ("multiples", [1, 2, 1, 1]),
        ("axes", [1, 2]),
    ):
        file.add(constant(name, np.array(value, np.int32)))
    strides = {"StrideH": 1, "StrideW": 1, "Padding": tflite.Padding.VALID}
    file.operators = [
        Written("SPACE_TO_BATCH_ND", ["x", "block", "pads"], ["s"], "SpaceToBatchNDOptions"),
        Written("CONV_2D", ["s", "w"], ["c"], "Conv2DOptions", strides, version=3),
        Written("BATCH_TO_SPACE_ND", ["c", "block", "crops"], ["d"], "BatchToSpaceNDOptions"),
        Written("TILE", ["d", "multiples"], ["t"], "TileOptions"),
        Written("DEPTH_TO_SPACE", ["t"], ["a"], "DepthToSpaceOptions", {"BlockSize": 2}),
        Written("SPACE_TO_DEPTH", ["a"], ["b"], "SpaceToDepthOptions", {"BlockSize": 2}),
        Written("PACK", ["b", "b"], ["p"], "PackOptions", {"ValuesCount": 2, "Axis": 1}),
        Written("UNPACK", ["p"], ["q", "r"], "UnpackOptions", {"Num": 2, "Axis": 1}),
        Written("REDUCE_MAX", ["r", "axes"], ["m"], "ReducerOptions", {"KeepDims": False}),
    ]
    file.outputs = ["q", "m"]
    return file


def _chain() -> TfliteFile:
    """Several operators in a row, with labels at the end."""
    file = draft(SAMPLES["relu"]())
    for i in range(6):
        name = file.add(tensor(f"t{i}", (1, 4), 0.5 + i))
        file.operator(Written(("RELU6", "QUANTIZE", "RELU")[i % 3], file.outputs, [name]))
        file.outputs = [name]
    file.labels = ("cat", "dog", "neither")
    return file


class Corpus:
    """What is mutated: written samples, and the real models where they are."""

    def __init__(self) -> None:
        self.makers: list[Callable[[], TfliteFile]] = [
            *((lambda make=make: draft(make())) for make in SAMPLES.values()),
            _shape_arithmetic,
            _chain,
            *[_compound] * 4,
        ]
        self.files = [make().serialize() for make in self.makers]
        for data in self.files:
            importer.from_bytes(data)  # before it is mutated, each is sound
        self.files += [path.read_bytes() for path in sorted(MODELS.glob("*.tflite"))]
        self.spots = [interesting(data) for data in self.files]

    def case(self, seed: int, number: int) -> bytes:
        rng = random.Random(f"{seed}/{number}")
        if rng.random() < 0.5:
            file = rng.choice(self.makers)()
            for _ in range(rng.choice((1, 1, 2, 3))):
                if file.operators and file.tensors:
                    edit_file(file, rng)
            try:
                return file.serialize()
            except (OverflowError, KeyError, TypeError, ValueError, struct.error):
                pass  # what cannot be written is mutated as bytes
        choice = rng.randrange(len(self.files))
        data = bytearray(self.files[choice])
        for _ in range(rng.choice((1, 1, 2, 3, 8))):
            data = mutate_bytes(data, self.spots[choice], rng)
        return bytes(data)


def outcome(data: bytes) -> str:
    """What became of a file; raises whatever is neither a sound graph nor a UserError."""
    try:
        graph = importer.from_bytes(data)
    except UserError as error:
        assert error.what and error.where
        kind = type(error).__name__
        try:
            importer.check_bytes(data)
        except UserError:
            return f"{kind}, broken"
        return kind
    verify(graph)
    assert importer.check_bytes(data).ok
    return "imported"


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def expired(signum: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds} s")

    previous = signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def limit_memory() -> None:
    """Lets the process grow a little beyond what it has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + EXTRA_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, help="a folder for the files that failed")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    corpus = Corpus()
    limit_memory()
    counts: Counter[str] = Counter()
    failures = 0
    slowest, started = 0.0, time.monotonic()
    for number in range(arguments.first, arguments.first + arguments.count):
        data = corpus.case(arguments.seed, number)
        begun = time.process_time()
        try:
            with time_limit(SECONDS_A_CASE):
                counts[outcome(data)] += 1
        except Exception:
            failures += 1
            counts["FAILED"] += 1
            print(f"case {number} of seed {arguments.seed}:", file=sys.stderr)
            traceback.print_exc(limit=-4)
            if arguments.keep:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                path = arguments.keep / f"{arguments.seed}_{number}.tflite"
                path.write_bytes(data)
        slowest = max(slowest, time.process_time() - begun)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for name, count in counts.most_common():
        print(f"{count:8} {name}")
    total = time.monotonic() - started
    print(f"{total:.0f} s, slowest case {slowest * 1000:.0f} ms, peak memory {peak} MiB")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
