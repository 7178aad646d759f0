"""The text of generated code, read as a person debugging it would; ``--update-golden`` rewrites
it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.graph_builder import GraphBuilder
from tests.support.simple_plan import simple_plan
from tinyvision.codegen import emit
from tinyvision.ir import ops
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Padding
from tinyvision.ir.types import DType
from tinyvision.target import CORES, load_board

FOLDER = Path(__file__).parent / "emitted"


def network() -> Graph:
    """A few layers of each kind of convolution, with a leftover in every block."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder("golden")

    def constants(*shape: int, channels: int) -> tuple[str, str]:
        return (
            builder.constant(rng.integers(-127, 128, shape), (0.02, 0)),
            builder.constant(rng.integers(-99, 99, channels), dtype=DType.INT32),
        )

    one = (1, 1)
    x = builder.input((1, 6, 5, 3), (0.05, -3), name="image")
    x = builder.op(
        ops.Conv2D,
        x,
        *constants(4, 3, 3, 3, channels=4),
        quant=(0.1, -128),
        stride=(2, 2),
        padding=Padding(0, 1, 1, 1),
    )
    x = builder.op(
        ops.DepthwiseConv2D,
        x,
        *constants(1, 3, 3, 4, channels=4),
        quant=(0.1, 5),
        stride=one,
        padding=Padding(1, 1, 1, 1),
    )
    x = builder.op(ops.Conv2D, x, *constants(5, 1, 1, 4, channels=5), quant=(0.1, 0), stride=one)
    x = builder.op(
        ops.FullyConnected, x, *constants(5, 45, channels=5), quant=(0.3, 0), shape=(1, 5)
    )
    return replace(builder.build(x), labels=("cat", "dog", "no one", "fox", "hen"))


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_emitted_text(core: str, request: pytest.FixtureRequest) -> None:
    graph = network()
    files = emit(graph, simple_plan(graph, CORES[core]), load_board("host"), b"golden")
    assert files == emit(graph, simple_plan(graph, CORES[core]), load_board("host"), b"golden")
    for path in ("include/tv_golden.h", "src/tv_golden.c", "src/tv_golden_data.c"):
        golden = FOLDER / core / Path(path).name
        if request.config.getoption("--update-golden"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text(files[path], encoding="utf-8")
        assert files[path] == golden.read_text(encoding="utf-8")


def test_layers_of_equal_shape_share_a_function() -> None:
    builder = GraphBuilder("twice")
    x = builder.input((1, 4, 4, 8))
    for _ in range(2):
        weights = builder.constant(np.ones((8, 1, 1, 8)), (0.02, 0))
        bias = builder.constant(np.zeros(8), dtype=DType.INT32)
        x = builder.op(ops.Conv2D, x, weights, bias, stride=(1, 1))
    graph = builder.build(x)
    text = emit(graph, simple_plan(graph, CORES["cortex-m4"]), load_board("host"))["src/tv_twice.c"]
    assert text.count("static void tv_conv2d_1x1_dsp_0(") == 1
    assert text.count("    tv_conv2d_1x1_dsp_0(\n") == 2
    assert "tv_conv2d_1x1_dsp_1" not in text
