"""A short slice of ``tests.fuzz.fuzz_graphs``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fuzz import fuzz_graphs
from tests.support.graph_builder import GraphBuilder
from tinyvision.device.host import HostProgram
from tinyvision.ir import ops
from tinyvision.schedule import plan
from tinyvision.target import load_board


def test_random_graphs_equal_the_oracle() -> None:
    failures = fuzz_graphs.fuzz(count=12, seed=1)
    assert not failures, "\n".join(failures)


def test_a_difference_is_found_and_named() -> None:
    """The code of one graph, compared with what another would give."""
    builder = GraphBuilder("fuzzed")
    graph = builder.build(builder.op(ops.Maximum, builder.input((1, 9)), builder.input((1, 9))))
    (op,) = graph.ops
    minimum = ops.Minimum(name=op.name, inputs=op.inputs, outputs=op.outputs)
    other = replace(graph, ops=(minimum,))
    board = load_board("host")
    made = plan(graph, board, macs_original=0)
    right = fuzz_graphs.Case(0, graph, graph, made, board)
    wrong = fuzz_graphs.Case(0, other, other, made, board)
    inputs = [np.full((1, 9), value, np.int8) for value in (3, 4)]
    with HostProgram([right.model], sanitize=True) as program:
        fuzz_graphs.compare(program, 0, right, inputs)
        with pytest.raises(fuzz_graphs.Mismatch, match="by maximum_x4 differs in 9 of 9"):
            fuzz_graphs.compare(program, 0, wrong, inputs)
