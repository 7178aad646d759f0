"""The host runner: conversion at the network's edges, hostile names, faults that are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.simple_plan import simple_plan
from tinyvision.codegen import emit
from tinyvision.codegen.self_test import self_test_inputs
from tinyvision.device.host import HostModel, HostProgram
from tinyvision.errors import ToolError
from tinyvision.ir import reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.ops import Lookup
from tinyvision.ir.types import DType, QuantParams, Tensor
from tinyvision.schedule.plan import Plan
from tinyvision.target import CORES, load_board

TABLE = np.arange(-128, 128).astype(np.int8)


def network(
    name: str = "net",
    external: DType = DType.INT8,
    scale: float = 0.5,
    zero_point: int = 3,
    x: str = "x",
    op: str = "copy",
) -> Graph:
    """A copy, so that what comes out is what went in, quantized."""
    quant = QuantParams((float(np.float32(scale)),), (zero_point,))
    tensors = (
        Tensor(x, (1, 600), DType.INT8, quant),
        Tensor("table", (256,), DType.INT8, None, TABLE),
        Tensor("y", (1, 600), DType.INT8, quant),
    )
    return Graph(
        name,
        {t.name: t for t in tensors},
        (Lookup(name=op, inputs=(x, "table"), outputs=("y",)),),
        (x,),
        ("y",),
        {x: external, "y": external} if external is not DType.INT8 else {},
        labels=("a", 'quote " and ü', "*/"),
    )


def compiled(graph: Graph, plan: Plan | None = None) -> HostModel:
    plan = plan or simple_plan(graph, CORES["host"])
    return HostModel(graph, plan, emit(graph, plan, load_board("host"), b"model"))


@pytest.mark.parametrize(("scale", "zero_point"), [(0.5, 3), (0.0039215689, -128), (3.1e-5, 127)])
def test_float_edges_are_the_oracles(scale: float, zero_point: int) -> None:
    graph = network(external=DType.FLOAT32, scale=scale, zero_point=zero_point)
    rng = np.random.default_rng(1)
    values = np.concatenate(
        (
            (np.arange(-150, 150) + 0.5) * np.float32(scale),
            rng.normal(size=290) * 60 * scale,
            [np.nan, np.inf, -np.inf, 3e38, -3e38, 0.0, -0.0, 1e-40, 0.49999997 * scale, -scale],
        )
    ).astype(np.float32)
    with HostProgram([compiled(graph)], sanitize=True) as program:
        (got,) = program.run([values.reshape(1, 600)])
    (expected,) = reference.run(graph, [values.reshape(1, 600)])
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)


def test_uint8_edges_differ_by_128() -> None:
    graph = network(external=DType.UINT8)
    values = np.random.default_rng(0).integers(0, 256, (1, 600), np.uint8)
    with HostProgram([compiled(graph)], sanitize=True) as program:
        (got,) = program.run([values])
        memory = program.tensor("y")
    np.testing.assert_array_equal(got, values)
    np.testing.assert_array_equal(memory, values.astype(np.int16) - 128)


def test_hostile_names_compile() -> None:
    evil = '*/ }; int evil(void) { "\\\n'
    graph = network(name=evil, x="x*/\n", op=evil)
    with HostProgram([compiled(graph)]) as program:
        values = np.zeros((1, 600), np.int8)
        (got,) = program.run([values])
    np.testing.assert_array_equal(got, values)


def test_several_models_in_one_program() -> None:
    models = [compiled(network(name=name)) for name in ("one", "two")]
    with HostProgram(models, sanitize=True) as program:
        for index in (1, 0):
            values = np.full((1, 600), index, np.int8)
            (got,) = program.run([values], model=index)
            np.testing.assert_array_equal(got, values)


def test_inputs_of_the_wrong_shape_are_refused() -> None:
    with (
        HostProgram([compiled(network())]) as program,
        pytest.raises(ValueError, match="not \\(1, 600\\)"),
    ):
        program.run([np.zeros((600, 1), np.int8)])


def test_a_fault_in_the_generated_code_is_quoted() -> None:
    graph = network()
    plan = simple_plan(graph, CORES["host"])
    short = replace(plan, banks=tuple(replace(b, used_bytes=599) for b in plan.banks))
    with (
        HostProgram([compiled(graph, short)], sanitize=True) as program,
        pytest.raises(ToolError, match="heap-buffer-overflow"),
    ):
        program.run([np.zeros((1, 600), np.int8)])


def test_a_text_that_is_no_c_is_an_error() -> None:
    model = compiled(network())
    broken = replace(model, files={**model.files, "src/tv_net_data.c": "int x = ;"})
    with pytest.raises(ToolError, match="does not compile"):
        HostProgram([broken])


def test_self_test_values_reach_the_header() -> None:
    graph = network()
    (expected,) = self_test_inputs(graph)
    state, first = 0x2545F491, []
    for _ in range(5):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        first.append(np.uint8(state >> 24).view(np.int8))
    np.testing.assert_array_equal(expected.ravel()[:5], first)
