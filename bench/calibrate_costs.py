"""Fits what kernels take (``tinyvision/schedule/costs.json``) to random layers on virtual boards.

    python bench/calibrate_costs.py [--board NAME ...] [--networks N] [--out FILE]

Of each core one board stands for all. Every network is a chain of random convolutions with many
random layers beside it, each with a random kernel, as a whole or as a stream of its own of one row
or several in a turn. Prints for each kernel, and for the variants of each together, how many layers
it was fitted to and the median and the 90th percentile of the error on them; ``any`` is fitted to
all, for kernels that are not in the table.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.optimize import nnls

from tests.support.networks import Builder
from tinyvision import api
from tinyvision.build import Compiled, Model
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.macs import macs
from tinyvision.ir.types import QuantParams
from tinyvision.kernels import choose
from tinyvision.kernels.kernel import Kernel
from tinyvision.kernels.rows import Grain
from tinyvision.schedule.assemble import stream_plan
from tinyvision.schedule.costs import ANY, TABLE, Work, key, refill, work
from tinyvision.schedule.plan import Plan
from tinyvision.schedule.problem import build_problem
from tinyvision.schedule.row_jobs import ROWS, row_problem
from tinyvision.schedule.segments import Cut, Search
from tinyvision.schedule.stream_planner import place_cut
from tinyvision.schedule.timeline import Range
from tinyvision.target import Board, load_board

BOARDS = ("stm32g0", "stm32l4", "stm32h7", "stm32u5", "qemu-m55")
LAYERS = 44
WEIGHTS = 9_000
WEIGHTED = (ops.Conv2D, ops.DepthwiseConv2D, ops.FullyConnected)
LEAST, LEAST_OF_VARIANT = 4, 10
"""Layers to fit to; a variant with fewer has its template's coefficients."""
RECTIFIED = 0.7
"""As often outputs of layers with weights begin at their zero point, as those of a ReLU do: that
takes less.
"""


@dataclass(frozen=True)
class Sample:
    kernel: Kernel
    by_rows: bool
    work: Work
    cycles: float


class Network:
    """Layers that nobody reads beside a chain of convolutions that get smaller. ``square``: all of
    them convolutions of 3x3, stride 1, which have most kernels.
    """

    def __init__(self, rng: np.random.Generator, name: str, square: bool) -> None:
        self.rng, self.net = rng, Builder(name, seed=int(rng.integers(1 << 30)))
        self.square = square
        height, width = int(rng.integers(10, 33)), int(rng.integers(10, 65))
        x = self.net.input(1, height, width, int(rng.integers(1, 5)))
        for count in (3, 12, 14, LAYERS - 32):
            for _ in range(count):
                self.layer(x)
            shape = self.net.tensors[x].shape
            if min(shape[1:3]) < 4:
                break
            channels = int(rng.choice([8, 12, 16, 20, 24, 32, 48, 64]))
            x = self.net.conv(x, channels, 3, int(rng.integers(1, 3)))
        self.mean(x)

    def layer(self, x: str) -> None:
        net, rng = self.net, self.rng
        _, height, _, depth = net.tensors[x].shape
        if self.square and depth > 3:
            net.conv(x, int(rng.integers(4, max(5, min(64, WEIGHTS // (9 * depth)) + 1))), 3)
            return
        kind = rng.choice(["conv", "point", "depthwise", "other"], p=[0.2, 0.35, 0.25, 0.2])
        stride = int(rng.integers(1, 3))
        kernel = int(rng.choice([3, 3, 5, 7]))
        if kind == "conv" and kernel * kernel * depth * 4 <= WEIGHTS and height > kernel:
            most = min(64, WEIGHTS // (kernel * kernel * depth))
            net.conv(x, int(rng.integers(4, most + 1)), kernel, stride)
        elif kind == "depthwise" and height > kernel and depth > 3:
            net.depthwise(x, kernel, stride)
        elif kind == "other":
            self.other(x)
        else:
            net.conv(x, int(rng.integers(4, min(160, WEIGHTS // depth))))

    def other(self, x: str) -> None:
        net, rng = self.net, self.rng
        shape = net.tensors[x].shape
        small = (1, shape[1] // 2, shape[2] // 2, shape[3])
        window = {"window": (2, 2), "stride": (2, 2)}
        match rng.choice(["add", "average", "max", "mean", "dense", "pad", "resize", "softmax"]):
            case "add":
                net.add(x, x)
            case "average":
                net._op(ops.AveragePool2D, (x,), small, **window)
            case "max":
                net._op(ops.MaxPool2D, (x,), small, **window)
            case "mean":
                self.mean(x)
            case "dense":
                if (units := 2 * WEIGHTS // int(np.prod(shape))) > 1:
                    net.dense(x, min(units, 64))
            case "pad":
                wider = (1, shape[1] + 2, shape[2] + 2, shape[3])
                net._op(ops.Pad, (x,), wider, pads=((0, 0), (1, 1), (1, 1), (0, 0)), value=0)
            case "resize":
                larger = (1, 2 * shape[1], 2 * shape[2], shape[3])
                if np.prod(larger) < 40_000:
                    net._op(rng.choice([ops.ResizeNearest, ops.ResizeBilinear]), (x,), larger)
            case "softmax":
                flat = net.reshape(x, shape[1] * shape[2], shape[3])
                y = net._op(ops.Softmax, (flat,), net.tensors[flat].shape)
                net.tensors[y] = replace(net.tensors[y], quant=QuantParams((1 / 256,), (-128,)))

    def mean(self, x: str) -> None:
        shape = self.net.tensors[x].shape
        whole = {"window": shape[1:3], "stride": (1, 1)}
        self.net._op(ops.AveragePool2D, (x,), (1, 1, 1, shape[3]), **whole)

    def graph(self) -> Graph:
        tensors = self.net.tensors
        for op in self.net.ops:
            if isinstance(op, WEIGHTED) and self.rng.random() < RECTIFIED:
                (y,) = op.outputs
                tensors[y] = replace(tensors[y], quant=QuantParams((0.05,), (-128,)))
        return self.net.graph(self.net.ops[-1].outputs[0])


def random_plan(graph: Graph, board: Board, rng: np.random.Generator) -> Plan | None:
    """Every operator by itself, as a whole or in a stream, with a random kernel; None where that
    does not fit.
    """
    problem = build_problem(
        graph, lambda op: choose.candidates(graph, op, board.core), lambda op: macs(graph, op)
    )
    rows = row_problem(graph, problem, choose.candidates, board)

    def draw(kernels):
        return (kernels[int(rng.integers(len(kernels)))],)

    jobs = tuple(replace(job, kernels=draw(job.kernels)) for job in problem.jobs)
    problem = replace(problem, jobs=jobs)
    kernels = {
        count: {index: draw(known) for index, known in found.items()}
        for count, found in rows.kernels.items()
    }
    rows = replace(rows, kernels=kernels)
    search = Search(problem, rows, range(len(jobs)), False)
    ranges = []
    for position in range(len(jobs)):
        stream = position in search.stages and rng.random() < 0.5
        count = int(rng.choice(ROWS)) if stream else 1
        ranges.append(Range(position, position + 1, stream, grain=Grain(count)))
    capacities = [bank.size_bytes for bank in board.banks]
    placed = place_cut(search, Cut(tuple(ranges), 0, 0.0), capacities)
    return None if placed is None else stream_plan(graph, board, placed, 0, None)


def measure(graph: Graph, plan: Plan, board: Board) -> list[Sample]:
    with TemporaryDirectory(prefix="tinyvision-costs-") as folder:
        compiled = Compiled(Model(Path(graph.name), b"", graph), graph, plan, board)
        where = api.Where(virtual=True)
        _, profile = api.profile(compiled, board, where=where, out=Path(folder))
    by_name, waits = {op.name: op for op in graph.ops}, refill(board)
    samples = []
    for step, segment, layer in zip(plan.steps, plan.segments, profile.layers, strict=True):
        if by_name[step.op].kind != "Reshape":
            amount = work(graph, by_name[step.op], step.grain if segment.is_stream else None)
            waited = min(waits.of_kernel(step.kernel, amount), 0.75 * layer.cycles)
            samples.append(Sample(step.kernel, segment.is_stream, amount, layer.cycles - waited))
    return samples


def fit(samples: list[Sample]) -> tuple[list[float], float, float]:
    """Coefficients that are not negative, with the smallest relative errors squared; median and
    90th percentile of the errors.
    """
    amounts = np.array([s.work.amounts for s in samples])
    cycles = np.array([s.cycles for s in samples], float)
    solution, _ = nnls(amounts / cycles[:, None], np.ones(len(cycles)))
    errors = np.abs(amounts @ solution / cycles - 1)
    return (
        [float(f"{c:.4g}") for c in solution],
        float(np.median(errors)),
        float(np.quantile(errors, 0.9)),
    )


def calibrate(board: Board, networks: int, seed: int = 1) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    samples: list[Sample] = []
    for number in range(networks):
        plan = None
        while plan is None:
            graph = Network(rng, f"costs{number}", number % 2 == 1).graph()
            plan = random_plan(graph, board, rng)
        samples += measure(graph, plan, board)
        print(f"{board.name}: {len(samples)} layers", flush=True)
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        for name in {sample.kernel.variant, sample.kernel.template, ANY}:
            groups[key(name, sample.by_rows)].append(sample)
    kernels = {}
    for name, group in sorted(groups.items()):
        of_variant = all(name != key(s.kernel.template, s.by_rows) for s in group)
        if len(group) >= (LEAST_OF_VARIANT if of_variant else LEAST):
            cycles, median, worst = fit(group)
            figures = {"cycles": cycles, "layers": len(group)}
            kernels[name] = figures | {"median": round(median, 3), "p90": round(worst, 3)}
            print(f"{board.core.name:14} {name:32} {len(group):4} {median:6.1%} {worst:6.1%}")
    core = board.core
    return {"board": board.name, "dsp": core.dsp, "mve": core.mve, "kernels": kernels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", action="append", default=[])
    parser.add_argument("--networks", type=int, default=6)
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
    known = json.loads(options.out.read_text()) if options.out.exists() else {"cores": {}}
    for name in options.board or BOARDS:
        board = load_board(name)
        known["cores"][board.core.name] = calibrate(board, options.networks)
        options.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
