"""The random graphs themselves: repeatable, of every operator, and true to files and TFLite."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.random_graphs import random_graph, random_inputs
from tests.support.tflite_writer import write
from tinyvision import importer
from tinyvision.ir import ops, reference
from tinyvision.ir.printer import to_text
from tinyvision.ir.types import Array


def test_one_seed_one_graph() -> None:
    first, second = (random_graph(np.random.default_rng(7)) for _ in range(2))
    assert to_text(first) == to_text(second)


def test_every_operator_occurs() -> None:
    kinds = {
        type(op)
        for seed in range(80)
        for op in random_graph(np.random.default_rng(seed), max_ops=12).ops
    }
    assert kinds == {kind for kind in ops.Op.__subclasses__() if kind.__module__ == ops.__name__}


def tflite_outputs(data: bytes, inputs: list[Array]) -> list[Array]:
    runtime: Any = pytest.importorskip("tflite_runtime.interpreter")
    interpreter = runtime.Interpreter(
        model_content=data, experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_graphs_survive_the_file_and_answer_as_tflite_does(first: int) -> None:
    for seed in range(first, first + 20):
        rng = np.random.default_rng(seed)
        graph = random_graph(rng, max_ops=8, in_file=True)
        data = write(graph)
        imported = importer.from_bytes(data, "random")
        inputs = random_inputs(graph, rng)
        expected = tflite_outputs(data, inputs)
        for outputs in (reference.run(graph, inputs), reference.run(imported, inputs)):
            for output, wanted in zip(outputs, expected, strict=True):
                assert np.array_equal(output, wanted), f"seed {seed}"
