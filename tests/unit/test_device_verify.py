"""Verifying: samples, comparison, and the first layer that differs."""

from __future__ import annotations

import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.networks import Builder, board
from tests.support.networks import candidates as plausible
from tinyvision.device import samples
from tinyvision.device.link import NoAnswer
from tinyvision.device.oracle import ReferenceOracle
from tinyvision.device.verify import compare, infer, verify
from tinyvision.errors import UserError
from tinyvision.ir import ops, reference
from tinyvision.ir.graph import Graph
from tinyvision.ir.types import DType, QuantParams, Tensor
from tinyvision.schedule.plan import BankUse, Buffer, Plan, Step

SHAPE = (1, 6, 6, 4)


def network() -> Graph:
    builder = Builder(seed=3)
    x = builder.input(*SHAPE)
    y = builder.conv(x, 8, 3)
    z = builder.depthwise(y, 3, 2)
    return builder.graph(builder.conv(z, 3))


def plan_of(graph: Graph) -> Plan:
    """One bank a tensor, so that nothing overlaps."""
    names = [*graph.inputs, *(name for op in graph.ops for name in op.outputs)]
    sizes = {name: graph.tensor(name).size_bytes for name in names}
    core = board(1 << 20).core
    return Plan(
        graph.name,
        "test",
        "layer",
        tuple(Step(op.name, plausible(graph, op, core)[0], 10) for op in graph.ops),
        {name: Buffer(name, f"bank {name}", 0, size, -1, 99) for name, size in sizes.items()},
        (),
        tuple(BankUse(f"bank {name}", size, size) for name, size in sizes.items()),
        30,
        30,
        0,
    )


class Simulated:
    """A target that computes as ``ir.reference`` does, but for one byte after layer ``broken``."""

    kind = "host"

    def __init__(self, graph: Graph, plan: Plan, broken: int | None = None) -> None:
        self.graph, self.plan, self.broken = graph, plan, broken
        self.values = {n: t.data for n, t in graph.tensors.items() if t.data is not None}
        self.lost = 0

    def feed(self, inputs) -> None:
        self.values.update(zip(self.graph.inputs, inputs, strict=True))

    def run(self, first=0, count=None) -> int:
        if self.lost:
            self.lost -= 1
            raise NoAnswer("lost")
        layers = self.graph.ops[first:][:count]
        for index, op in enumerate(layers, first):
            outputs = reference.evaluate(self.graph, op, [self.values[n] for n in op.inputs])
            for name, value in zip(op.outputs, outputs, strict=True):
                damaged = value.copy()
                if index == self.broken:
                    damaged.flat[-1] ^= 0x10
                self.values[name] = damaged
        return 0

    def fetch(self):
        return [self.values[name] for name in self.graph.outputs]

    def read_memory(self, bank, offset, size_bytes) -> bytes:
        name = self.plan.banks[bank].name.removeprefix("bank ")
        return self.values[name].tobytes()[offset:][:size_bytes]

    def close(self) -> None:
        pass


def check(broken: int | None, count: int = 5):
    graph = network()
    plan = plan_of(graph)
    target = Simulated(graph, plan, broken)
    return graph, verify(graph, plan, target, samples.draw(graph, count), ReferenceOracle(graph))


def test_equal_is_equal():
    _, result = check(None)
    assert (result.samples, result.mismatches, result.max_abs_diff) == (5, 0, 0)
    assert result.values == 5 * 3 * 3 * 3
    assert result.first_divergent_layer is None
    assert set(result.to_json()) >= {
        *("samples", "values", "mismatches", "max_abs_diff"),
        *("first_divergent_layer", "target", "oracle"),
    }


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_first_layer_that_differs_is_named(layer):
    graph, result = check(layer)
    assert result.mismatches > 0
    assert result.first_divergent_layer == graph.ops[layer].name


def test_differences_are_measured():
    _, result = check(2)
    assert result.mismatches == 5 and result.max_abs_diff == 16


def test_expectations_of_the_file_go_first():
    graph = network()
    plan = plan_of(graph)
    drawn = samples.draw(graph, 2)
    wrong = [[np.full((1, 3, 3, 3), 99, np.int8)] for _ in drawn.inputs]
    given_ = samples.Samples(drawn.inputs, wrong)
    result = verify(graph, plan, Simulated(graph, plan), given_, ReferenceOracle(graph))
    assert result.oracle == "file" and result.mismatches > 0
    assert result.first_divergent_layer is None and "equals ir.reference" in result.note


def test_a_lost_answer_starts_the_inference_over():
    graph = network()
    target = Simulated(graph, plan_of(graph))
    target.lost = 1
    inputs = samples.draw(graph, 1).inputs[0]
    assert np.array_equal(infer(target, inputs)[0], reference.run(graph, inputs)[0])
    target.lost = 2
    with pytest.raises(NoAnswer):
        infer(target, inputs)


def test_compare_floats():
    nan, inf = float("nan"), float("inf")
    a = np.array([1.0, nan, inf, 0.0], np.float32)
    assert compare(a, a.copy()) == (0, 0.0)
    assert compare(a, np.array([1.0, nan, inf, -0.0], np.float32))[0] == 0
    assert compare(a, np.array([1.5, nan, inf, 0.0], np.float32)) == (1, 0.5)
    assert compare(a, np.array([1.0, 2.0, inf, 0.0], np.float32)) == (1, inf)
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(a, a.astype(np.float64))


def float_input() -> Graph:
    """float32 -> QUANTIZE -> int8, as imported."""
    quant = QuantParams((0.5,), (10,))
    tensors = {
        "x": Tensor("x", (1, 1000), DType.FLOAT32),
        "y": Tensor("y", (1, 1000), DType.INT8, quant),
    }
    op = ops.Quantize(name="q", inputs=("x",), outputs=("y",))
    return Graph("floats", tensors, (op,), ("x",), ("y",))


def test_samples_are_reproducible_and_reach_the_extremes():
    graph = network()
    first, again = samples.draw(graph, 10, 1), samples.draw(graph, 10, 1)
    assert len(first.inputs) == 10
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first.inputs, again.inputs, strict=True))
    other = samples.draw(graph, 10, 2)
    assert not np.array_equal(first.inputs[0][0], other.inputs[0][0])
    edges = [set(np.unique(row[0])) for row in first.inputs[-3:]]
    assert edges == [{-128}, {127}, {0}]
    noise = np.stack([row[0] for row in first.inputs[:-3]])
    assert noise.min() < -120 and noise.max() > 120
    assert len(samples.draw(graph, 2).inputs) == 2


def test_float_samples_span_what_their_quantization_holds():
    for graph in (float_input(), replace(network(), interface={"in0": DType.FLOAT32})):
        if "x" not in graph.tensors:
            graph = replace(graph, interface={graph.inputs[0]: DType.FLOAT32})
            low, high = (graph.tensor(graph.inputs[0]).scale * v for v in (-128, 127))
        else:
            low, high = 0.5 * (-128 - 10), 0.5 * (127 - 10)
        drawn = samples.draw(graph, 10)
        noise = np.stack([row[0] for row in drawn.inputs[:-3]])
        assert noise.dtype == np.float32
        assert noise.min() < low < high < noise.max()  # saturation is exercised
        assert drawn.inputs[-3][0].min() == np.float32(low)
        assert drawn.inputs[-2][0].max() == np.float32(high)
        assert not drawn.inputs[-1][0].any()


def test_uint8_samples():
    graph = network()
    graph = replace(graph, interface={graph.inputs[0]: DType.UINT8})
    drawn = samples.draw(graph, 4)
    assert [row[0].dtype for row in drawn.inputs] == [np.uint8] * 4
    assert [int(row[0].flat[0]) for row in drawn.inputs[1:]] == [0, 255, 128]


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_samples_of_a_file(tmp_path):
    graph = network()
    inputs = np.zeros((4, *SHAPE), np.int8)
    outputs = np.ones((4, 1, 3, 3, 3), np.int8)
    read = samples.read(save(tmp_path / "a.npz", inputs=inputs, outputs_0=outputs), graph)
    assert len(read.inputs) == 4 and read.inputs[0][0].shape == SHAPE
    assert np.array_equal(read.expected[3][0], outputs[3])
    read = samples.read(save(tmp_path / "b.npz", inputs=inputs[:, 0], logits=np.ones(3)), graph)
    assert read.inputs[0][0].shape == SHAPE and read.expected == []


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "no array 'inputs"),
        ({"outputs_0": np.zeros((1, 1, 3, 3, 3), np.int8)}, "no array 'inputs"),
        ({"inputs": np.zeros((1, *SHAPE), np.float32)}, "is float32"),
        ({"inputs": np.zeros((1, 1, 6, 6, 5), np.int8)}, "shape"),
        ({"inputs": np.zeros((0, *SHAPE), np.int8)}, "disagree"),
        ({"inputs": np.zeros((), np.int8)}, "shape"),
        ({"inputs": np.array([object()])}, "cannot be|can be read"),
        ({"inputs": np.zeros(SHAPE, np.int8), "outputs_1": np.zeros(1)}, "has outputs_1, the"),
        ({"inputs": np.zeros(SHAPE, np.int8), "outputs": np.zeros(1)}, "are not the model's"),
        (
            {
                "inputs": np.zeros((2, *SHAPE), np.int8),
                "outputs_0": np.zeros((3, 1, 3, 3, 3), np.int8),
            },
            "disagree",
        ),
    ],
)
def test_files_that_do_not_fit(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message):
        samples.read(save(tmp_path / "x.npz", **arrays), network())


def test_a_file_that_would_fill_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "MAX_FILE_BYTES", 1 << 20)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, other=np.zeros(1 << 21, np.int8), inputs=np.zeros(4, np.int8))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(UserError, match="too large"):
        samples.read(path, network())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 2**31))
def test_damaged_files_are_refused_in_words(tmp_path_factory, junk, seed):
    path = tmp_path_factory.mktemp("npz") / "x.npz"
    save(path, inputs=np.zeros((2, *SHAPE), np.int8))
    data = bytearray(path.read_bytes())
    position = seed % len(data)
    data[position : position + len(junk)] = junk
    path.write_bytes(bytes(data))
    try:
        samples.read(path, network())
    except UserError as error:
        assert str(path) in str(error)


def test_a_member_that_is_no_array(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inputs", b"text")
    with pytest.raises(UserError, match="'inputs' is"):
        samples.read(path, network())


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        samples.read(tmp_path / "none.npz", network())
