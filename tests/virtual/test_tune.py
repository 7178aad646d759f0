"""Tuning on a virtual board, from the command line; firmware for other goals than speed."""

from __future__ import annotations

import json

import pytest

from tests.support import tflite_writer
from tests.support.networks import Builder
from tests.virtual.test_interrupt import DIGITS
from tinyvision.cli import app

runner = pytest.importorskip("typer.testing").CliRunner()


def call(*arguments: object) -> dict:
    result = runner.invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_tuned_is_at_least_as_fast_and_equal(private_platformio, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    net = Builder("small", seed=1)
    x = net.depthwise(net.conv(net.input(1, 10, 10, 3), 8, 3), 3)
    model = tmp_path / "small.tflite"
    model.write_bytes(tflite_writer.write(net.graph(net.conv(x, 6))))
    common = (model, "-b", "stm32l4", "--virtual", "-o", tmp_path / "out")
    plain = call("profile", *common)
    tuned = call("profile", *common, "--tune")
    assert tuned["cycles"] <= plain["cycles"]
    assert list((tmp_path / "cache" / "tinyvision" / "tuned").glob("stm32l4-modelled-*.json"))
    assert call("verify", *common, "--tune", "--samples", 2)["mismatches"] == 0


def test_less_flash_by_goal(private_platformio, tmp_path):
    sizes = [
        call("build", DIGITS, "-b", "stm32l4", "-o", tmp_path / "out", "--optimize", goal)
        for goal in ("memory", "balanced", "size")
    ]
    flash = [size["flash_total_bytes"] for size in sizes]
    assert flash[0] > flash[1] >= flash[2]
