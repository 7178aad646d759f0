"""Profiles from what an agent tells."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.support.fake_agent import FakeAgent, answer, behave, identity
from tinyvision.device.link import Link
from tinyvision.device.profile import LayerCost, profile
from tinyvision.device.protocol import Command
from tinyvision.device.serial_target import SerialTarget
from tinyvision.errors import DeviceError
from tinyvision.kernels.kernel import Kernel
from tinyvision.schedule.plan import BankUse, Plan, Step

INPUT = [np.zeros((1, 4, 4, 3), np.int8)]


def plan(layers: int = 3) -> Plan:
    steps = tuple(
        Step(f"op{i}", Kernel("conv2d", f"variant{i}"), 100 * i, "", "Conv2D")
        for i in range(layers)
    )
    banks = (BankUse("fast", 48, 100), BankUse("slow", 0, 100))
    return Plan("m", "b", "layer", steps, {}, (), banks, 300, 300, 0)


class HalfTwin:
    basis = "a test"

    def layer_costs(self, cycles):
        return [LayerCost(2 * c, 3 * c, {"branch": c, "other": 1}) for c in cycles]


def taken(behaviour=behave, layers=3, twin=None):
    with FakeAgent(behaviour) as agent, Link(agent.port) as link:
        result = profile(plan(layers), SerialTarget(link), INPUT, twin)
        return result, [Command(r.command) for r in agent.requests]


def test_measured():
    result, commands = taken()
    assert (result.source, result.basis, result.clock_mhz) == ("measured", "cycle counter", 100.0)
    assert [layer.cycles for layer in result.layers] == [1, 2, 3]
    assert [layer.name for layer in result.layers] == ["op0", "op1", "op2"]
    assert [layer.kernel for layer in result.layers] == ["variant0", "variant1", "variant2"]
    assert result.instructions is None
    assert result.stalls is None
    assert result.latency_ms == pytest.approx(6 / 100e3)
    assert sum(layer.share for layer in result.layers) == pytest.approx(1)
    assert (result.sram_peak_bytes, result.stack_peak_bytes) == (40, 100)
    at = commands.index
    assert at(Command.PAINT) < at(Command.WRITE_INPUT) < at(Command.PROFILE) < at(Command.MEMORY)
    assert set(result.to_json()) >= {
        *("source", "cycles", "instructions", "clock_mhz", "latency_ms", "macs_per_cycle"),
        *("sram_peak_bytes", "stack_peak_bytes", "layers"),
    }
    assert set(result.to_json()["layers"][0]) >= {
        *("name", "op", "kernel", "cycles", "instructions", "macs", "share"),
    }


def test_modelled():
    result, _ = taken(twin=HalfTwin())
    assert (result.source, result.basis) == ("modelled", "a test")
    assert (result.cycles, result.instructions) == (12, 18)
    assert result.to_json()["macs_per_cycle"] == 300 / 12
    assert result.stalls == {"branch": 6, "other": 3}
    assert result.to_json()["layers"][1]["stalls"] == {"branch": 2, "other": 1}


def test_many_layers_come_in_pieces():
    def many(request):
        if request.command == Command.IDENTIFY:
            return answer(request, identity(layers=40))
        if request.command == Command.PROFILE:
            first, count = struct.unpack("<HH", request.body)
            return answer(request, struct.pack(f"<{count}I", *range(first, first + count)))
        return behave(request)

    result, commands = taken(many, 40)
    assert [layer.cycles for layer in result.layers] == list(range(40))
    assert commands.count(Command.PROFILE) == 3


def test_writes_outside_the_model_are_an_error():
    def damaged(request):
        if request.command == Command.MEMORY:
            return answer(request, struct.pack("<IIIIIIB", 48, 40, 0, 0, 1024, 100, 0b10))
        return behave(request)

    with pytest.raises(DeviceError, match="outside its memory: bank slow"):
        taken(damaged)


def test_another_plan():
    with pytest.raises(DeviceError, match="has 3 layers, the plan 4"):
        taken(layers=4)
