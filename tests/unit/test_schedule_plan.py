"""Plans of whole graphs: sound, small, in banks, and computing what the graph computes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.networks import Builder, board, candidates
from tinyvision import schedule
from tinyvision.errors import FitError, UserError
from tinyvision.ir import reference
from tinyvision.ir.macs import graph_macs
from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.check import check_plan
from tinyvision.schedule.execute import execute
from tinyvision.schedule.flash import FIRMWARE_CODE_BYTES, KERNEL_CODE_BYTES
from tinyvision.schedule.plan import align


def plan(graph, *sizes, choose=candidates, **options):
    target = board(*(sizes or (1 << 20,)))
    options.setdefault("macs_original", graph_macs(graph))
    planned = schedule.plan(graph, target, candidates=choose, **options)
    check_plan(graph, planned)
    return planned


def assert_computes(graph, planned, seed=0):
    rng = np.random.default_rng(seed)
    fed = {n: rng.integers(-128, 128, graph.tensor(n).shape, dtype=np.int8) for n in graph.inputs}
    expected = reference.run_all(graph, fed)
    for name, value in execute(graph, planned, fed, seed).items():
        np.testing.assert_array_equal(value, expected[name])


@st.composite
def graphs(draw):
    """Convolutions, residuals, concatenations, splits and reshapes in any arrangement."""
    net = Builder(seed=draw(st.integers(0, 99)))
    shape = (1, draw(st.integers(2, 6)), draw(st.integers(2, 6)), draw(st.sampled_from([2, 4, 8])))
    pool = [net.input(*shape) for _ in range(draw(st.integers(1, 2)))]
    for _ in range(draw(st.integers(1, 8))):
        x = draw(st.sampled_from(pool))
        size = net.tensors[x].shape
        kind = draw(st.sampled_from(["conv", "depthwise", "add", "concat", "split", "reshape"]))
        alike = [other for other in pool if net.tensors[other].shape == size]
        if len(size) != 4:
            pool.append(net.reshape(x, 1, 1, 1, size[1]))
        elif kind == "conv":
            channels, kernel = draw(st.sampled_from([2, 4, 12])), draw(st.sampled_from([1, 3]))
            pool.append(net.conv(x, channels, kernel, draw(st.sampled_from([1, 2]))))
        elif kind == "depthwise":
            pool.append(net.depthwise(x, stride=draw(st.sampled_from([1, 2]))))
        elif kind == "add":
            pool.append(net.add(x, draw(st.sampled_from(alike))))
        elif kind == "concat":
            pool.append(net.concat(x, draw(st.sampled_from(alike))))
        elif kind == "split" and size[3] % 2 == 0:
            pool.extend(net.split(x))
        else:
            pool.append(net.reshape(x, 1, int(np.prod(size))))
    read = {name for op in net.ops for name in op.inputs}
    ends = [name for name in pool if name not in read]
    extra = draw(st.lists(st.sampled_from(pool), max_size=1))
    return net.graph(*dict.fromkeys(ends + extra))


@given(graphs())
@settings(max_examples=80, deadline=None)
def test_random_graphs_compute_what_they_should(graph):
    planned = plan(graph)
    assert_computes(graph, planned)
    # Every tensor apart, every scratch apart: the worst layout there is.
    worst = sum(-(-buffer.size_bytes // 8) * 8 for buffer in planned.buffers.values())
    assert max(planned.live_bytes) <= planned.sram_bytes <= worst
    json.dumps(planned.to_json())


@given(graphs(), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_several_banks_hold_what_one_does_not(graph, tenths):
    whole = plan(graph)
    first = whole.sram_bytes * tenths // 10
    planned = plan(graph, first, align(whole.sram_bytes))
    assert planned.sram_bytes >= max(planned.live_bytes)
    assert planned.banks[0].used_bytes <= first
    assert_computes(graph, planned)


def residual() -> Builder:
    net = Builder()
    x = net.conv(net.input(1, 8, 8, 4), 8, 3)
    net.last = net.add(x, net.depthwise(net.conv(x, 8)))
    return net


def test_everything_in_place_costs_the_widest_step():
    net = Builder()
    x = net.input(1, 8, 8, 4)
    for _ in range(4):
        x = net.add(x, x)
    planned = plan(net.graph(x))
    assert planned.sram_bytes == 256
    assert len({buffer.offset for buffer in planned.buffers.values()}) == 1


def test_fast_kernels_are_taken_where_they_do_not_raise_the_peak():
    net = Builder()
    wide = net.conv(net.input(1, 8, 8, 2), 32, 1)
    small = net.conv(wide, 2, 1)
    planned = plan(net.graph(net.conv(small, 2, 3)))
    variants = [step.kernel.variant for step in planned.steps]
    assert variants == ["conv2d_small", "conv2d_small", "conv2d_fast"]
    assert planned.sram_bytes == 8 * 8 * 32


def test_a_slow_kernel_must_earn_its_place():
    """It would save 64 of 4,096 bytes; only a limit, or a board without them, asks for that."""
    net = Builder()
    graph = net.graph(net.conv(net.input(1, 16, 16, 8), 8))

    def choose(graph, op, core):
        return Kernel("k", "fast", 64, 0, (None,)), Kernel("k", "slow", 0, 0, (None,))

    def chosen(*sizes, **options):
        return plan(graph, *sizes, choose=choose, **options).steps[0].kernel.variant

    assert chosen() == chosen(sram_limit=5000) == "fast"
    assert chosen(sram_limit=4096) == chosen(4100) == "slow"


def test_a_limit_buys_speed():
    net = Builder()
    graph = net.graph(net.conv(net.conv(net.input(1, 8, 8, 2), 32, 1), 2, 1))
    planned = plan(graph, sram_limit=4000)
    assert all(step.kernel.variant == "conv2d_fast" for step in planned.steps)
    assert plan(graph).sram_bytes < planned.sram_bytes <= 4000


def test_a_reshape_moves_nothing_and_keeps_its_input_from_being_overwritten():
    net = Builder()
    x = net.input(1, 4, 4, 4)
    flat = net.reshape(x, 1, 64)
    graph = net.graph(net.add(x, x), flat)
    planned = plan(graph)
    assert planned.buffers[flat].offset == planned.buffers[x].offset
    assert planned.sram_bytes == 128
    assert_computes(graph, planned)


def test_an_operator_that_frees_memory_runs_first():
    """Two branches, each wide inside and narrow at its end: depth first needs less."""
    net = Builder()
    x = net.input(1, 8, 8, 2)
    wide = [net.conv(x, 16), net.conv(x, 16)]
    narrow = [net.conv(w, 2) for w in wide]
    graph = net.graph(net.add(*narrow))
    planned = plan(graph)
    given_order = [op.name for op in graph.ops]
    assert [step.op for step in planned.steps] != given_order
    assert planned.sram_bytes <= 128 + 1024 + 128
    assert_computes(graph, planned)


def test_the_given_order_stays_where_another_brings_nothing():
    graph = (net := residual()).graph(net.last)
    assert [step.op for step in plan(graph).steps] == [op.name for op in graph.ops]


def test_what_is_touched_most_stays_in_the_first_bank():
    """The convolution reads its input 36 times, the depthwise layer its own only 9 times."""
    net = Builder()
    x = net.input(1, 16, 16, 4)
    y = net.conv(x, 4, 3)
    later = net.depthwise(y)
    graph = net.graph(later, x, y)
    planned = plan(graph, 1024 + 400, 8192)
    assert [planned.buffers[name].bank for name in (x, y, later)] == ["bank0", "bank1", "bank1"]
    assert_computes(graph, planned)


def test_what_does_not_fit_is_said_with_figures():
    net = Builder("vww")
    graph = net.graph(net.conv(net.conv(net.input(1, 32, 32, 3), 16, 3), 16, 3))
    with pytest.raises(FitError) as caught:
        plan(graph, 4000, 2000)
    message = str(caught.value)
    assert "KB too much" in message
    assert "layer 'op1' (Conv2D, 1x32x32x16 to 1x32x32x16)" in message
    assert "test has 6.0 KB (bank0 4.0 KB, bank1 2.0 KB)" in message
    assert "an input of about 8x8 instead of 32x32" in message


def test_a_tensor_larger_than_any_bank_is_said():
    net = Builder()
    graph = net.graph(net.conv(net.input(1, 16, 16, 4), 16))
    with pytest.raises(FitError, match=r"4\.1 KB of it in one piece, larger than any bank"):
        plan(graph, 3000, 3000)


def test_a_limit_that_cannot_be_kept_is_said():
    graph = (net := residual()).graph(net.last)
    least = plan(graph).sram_bytes
    assert plan(graph, sram_limit=least).sram_bytes == least
    with pytest.raises(FitError, match=r"8 bytes too much.*the limit is"):
        plan(graph, schedule="layer", sram_limit=least - 8)


def test_what_does_not_fit_layer_by_layer_is_streamed():
    graph = (net := residual()).graph(net.last)
    least = plan(graph).sram_bytes
    planned = plan(graph, sram_limit=least - 8)
    assert planned.sram_bytes < least
    assert [segment.kind for segment in planned.segments].count("stream") == 1
    with pytest.raises(FitError, match=r"too much.*the limit is"):
        plan(graph, sram_limit=300)


def test_weights_that_exceed_flash_are_said():
    net = Builder()
    graph = net.graph(net.dense(net.input(1, 100), 100))
    with pytest.raises(FitError, match=r"of flash .* largest layer is 'op0' \(FullyConnected"):
        schedule.plan(graph, board(4096, flash_bytes=5000), candidates=candidates, macs_original=0)


def test_scarce_flash_is_left_to_the_layers_with_most_work():
    """Two layers of 10,000 weights, doubled in their fast form; the wide image has more MACs."""
    net = Builder()
    busy = net.conv(net.input(1, 8, 8, 100), 100)
    graph = net.graph(net.conv(net.conv(busy, 100, 1, 8), 100))

    def choose(graph, op, core):
        size = graph.tensor(op.inputs[1]).size_bytes
        return Kernel("conv", "fast", 0, 2 * size), Kernel("conv", "small", 0, size)

    def variants(flash_bytes):
        code_bytes = FIRMWARE_CODE_BYTES + KERNEL_CODE_BYTES * len(graph.ops)
        target = board(1 << 20, flash_bytes=flash_bytes + code_bytes)
        planned = schedule.plan(graph, target, candidates=choose, macs_original=0)
        return [step.kernel.variant for step in planned.steps]

    assert variants(60_000) == ["fast", "fast", "fast"]
    assert variants(50_000) in (["fast", "fast", "small"], ["fast", "small", "fast"])
    assert variants(40_000) == ["fast", "small", "small"]
    assert variants(30_000) == variants(15_000) == ["small", "small", "small"]


def test_unknown_schedules_and_constant_outputs_are_refused():
    graph = (net := residual()).graph(net.last)
    with pytest.raises(UserError, match="no schedule is called 'fast'"):
        plan(graph, schedule="fast")
    constant = next(name for name, tensor in graph.tensors.items() if tensor.is_constant)
    with pytest.raises(UserError, match="does not depend on any input"):
        plan(replace(graph, outputs=(*graph.outputs, constant)))


def test_the_json_keeps_its_promise():
    graph = (net := residual()).graph(net.last)
    found = plan(graph, macs_original=graph_macs(graph) + 7).to_json()
    assert found["sram_bytes"] == found["sram_with_input_bytes"] == found["banks"][0]["used_bytes"]
    assert found["macs"] == found["macs_executed"] + 7
    assert found["recompute_factor"] == 1.0 and found["fits"] is True
    assert [segment["kind"] for segment in found["segments"]] == ["layer"]
    assert found["segments"][0]["ops"] == [layer["name"] for layer in found["layers"]]
    assert found["flash_bytes"] == sum(layer["flash_bytes"] for layer in found["layers"])
    first = found["layers"][0]
    assert first["op"] == "Conv2D" and first["output_shapes"] == [[1, 8, 8, 8]]
    assert found == json.loads(json.dumps(found))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: replace(b, offset=b.offset + 4), "not aligned"),
        (lambda b: replace(b, offset=1 << 20), "outside its bank"),
        (lambda b: replace(b, size_bytes=b.size_bytes - 1), "should be"),
        (lambda b: replace(b, last_step=b.last_step + 1), "should be"),
        (lambda b: replace(b, bank="other"), "in no bank"),
    ],
)
def test_the_checker_refuses_broken_buffers(change, message):
    graph = (net := residual()).graph(net.last)
    planned = plan(graph)
    name = graph.ops[0].outputs[0]
    broken = replace(planned, buffers={**planned.buffers, name: change(planned.buffers[name])})
    with pytest.raises(ValueError, match=message):
        check_plan(graph, broken)


@given(graphs(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_moved_buffer_is_refused_or_does_no_harm(graph, data):
    planned = plan(graph)
    name = data.draw(st.sampled_from(sorted(planned.buffers)))
    limit = planned.sram_bytes - planned.buffers[name].size_bytes
    offset = 8 * data.draw(st.integers(0, max(0, limit) // 8))
    moved = {**planned.buffers, name: replace(planned.buffers[name], offset=offset)}
    used = max(buffer.end for buffer in moved.values())
    banks = (replace(planned.banks[0], used_bytes=used),)
    other = replace(planned, buffers=moved, banks=banks)
    try:
        check_plan(graph, other)
    except ValueError as error:
        assert "overlap" in str(error)
    else:
        assert_computes(graph, other)


def test_sharing_that_no_kernel_allows_is_refused():
    graph = (net := residual()).graph(net.last)
    planned = plan(graph)
    steps = tuple(
        replace(s, kernel=Kernel("x", "x", s.kernel.scratch_bytes)) for s in planned.steps
    )
    with pytest.raises(ValueError, match="overlap"):
        check_plan(graph, replace(planned, steps=steps))


def test_seventy_layers_plan_in_seconds():
    net = Builder()
    x = net.conv(net.input(1, 16, 16, 3), 8, 3, 2)
    for block in range(17):
        wide = net.conv(x, 24)
        out = net.conv(net.depthwise(wide, stride=2 if block in (4, 9) else 1), 8)
        x = net.add(x, out) if block not in (4, 9) else out
    planned = plan(net.graph(x))
    assert len(planned.steps) >= 65
    assert planned.sram_bytes <= 1.02 * max(planned.live_bytes)
