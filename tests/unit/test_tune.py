"""Trying kernels: what is tried, what is kept, what is chosen then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.networks import Builder
from tinyvision import api, tune
from tinyvision.build import Compiled, Model, plan
from tinyvision.errors import FitError
from tinyvision.kernels import choose
from tinyvision.target import load_board

BOARD = load_board("stm32l4")
TWIN = api.Where(virtual=True)


def model() -> Model:
    builder = Builder(seed=1)
    x = builder.input(1, 8, 8, 4)
    for _ in range(2):  # of the same shapes: tried once
        x = builder.depthwise(x, 3)
    return Model(Path("net.tflite"), b"", builder.graph(builder.conv(x, 8, 3)))


class Bench:
    """Stands in for builds and boards: a kernel's time is given, and what was run is kept."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []

    def profile(self, compiled: Compiled, board, **_):
        kernels = [step.kernel for step in compiled.plan.steps]
        self.ran.append(tuple(tune.identity(kernel) for kernel in kernels))
        # Against the rule's order: what needs most scratch is slowest.
        layers = [
            SimpleNamespace(name=step.op, cycles=1000 + step.kernel.scratch_bytes)
            for step in compiled.plan.steps
        ]
        return compiled, SimpleNamespace(layers=layers)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def kernels_of(candidates) -> list[str]:
    return [tune.identity(s.kernel) for s in plan(model(), BOARD, candidates=candidates).plan.steps]


def test_the_fastest_found_is_chosen_and_nothing_is_tried_twice(cache, monkeypatch):
    bench = Bench()
    monkeypatch.setattr(api, "profile", bench.profile)
    timings = tune.tune(model(), BOARD, where=TWIN)
    graph = plan(model(), BOARD).graph
    for op in graph.ops:
        given = choose.candidates(graph, op, BOARD.core)
        if len(given) > 1:
            tried = timings.cycles[tune.signature(graph, op)]
            assert set(tried) == {tune.identity(kernel) for kernel in given}
            best = timings.candidates(graph, op, BOARD.core)[0]
            assert best.scratch_bytes == min(kernel.scratch_bytes for kernel in given)
    choices = [len(choose.candidates(graph, op, BOARD.core)) for op in graph.ops]
    assert max(choices) > 1 and len(bench.ran) == max(choices)
    assert kernels_of(timings.candidates) != kernels_of(choose.candidates)

    again = Bench()
    monkeypatch.setattr(api, "profile", again.profile)
    assert tune.tune(model(), BOARD, where=TWIN).cycles == timings.cycles
    assert again.ran == []


def test_an_interrupted_run_goes_on_where_it_was(cache, monkeypatch):
    bench = Bench()

    def interrupted(compiled, board, **options):
        if len(bench.ran) == 1:
            raise KeyboardInterrupt
        return bench.profile(compiled, board, **options)

    monkeypatch.setattr(api, "profile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune.tune(model(), BOARD, where=TWIN)
    rest = Bench()
    monkeypatch.setattr(api, "profile", rest.profile)
    tune.tune(model(), BOARD, where=TWIN)
    assert rest.ran and not set(rest.ran) & set(bench.ran)


def test_a_kernel_that_does_not_fit_is_never_first(cache, monkeypatch):
    graph = plan(model(), BOARD).graph
    op = graph.ops[0]
    given = choose.candidates(graph, op, BOARD.core)
    large = max(given, key=lambda kernel: kernel.flash_bytes)
    assert large.flash_bytes > min(kernel.flash_bytes for kernel in given)

    def profile(compiled, board, **options):
        if large in [step.kernel for step in compiled.plan.steps]:
            raise FitError("too much")
        return Bench().profile(compiled, board, **options)

    monkeypatch.setattr(api, "profile", profile)
    timings = tune.tune(model(), BOARD, where=TWIN)
    assert timings.cycles[tune.signature(graph, op)][tune.identity(large)] == 0
    assert timings.candidates(graph, op, BOARD.core)[-1] == large


def test_other_shapes_and_attributes_are_other_layers():
    graph = model().graph
    first, second = graph.ops[0], graph.ops[1]
    assert tune.signature(graph, first) == tune.signature(graph, second)
    strided = replace(first, stride=(2, 2))
    assert tune.signature(graph, first) != tune.signature(graph, strided)
    assert tune.signature(graph, first) != tune.signature(graph, graph.ops[-1])


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"b": "c"}}'])
def test_a_damaged_file_is_no_file(tmp_path, text):
    path = tmp_path / "timings.json"
    path.write_text(text)
    assert tune.read_timings(path).cycles == {}
