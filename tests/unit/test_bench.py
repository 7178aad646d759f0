"""The benchmark's bookkeeping; its figures come from virtual boards (tests/virtual)."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from tinyvision import bench
from tinyvision.errors import UserError
from tinyvision.report import print_bench

ROW = bench.Row("net", "stm32l4", "cortex-m4", "aa" * 16, verified=True, cycles=1000, macs=500)


def stored(*rows):
    return {r.key: row for r, row in zip(rows, json.loads(text(rows))["rows"], strict=True)}


def text(rows, baseline=None):
    return bench.merged_baseline(rows, baseline or {})


def test_a_row_equals_itself_in_the_baseline():
    assert bench.compare(ROW, stored(ROW)[ROW.key]) == {}


def test_changes_are_signed_and_only_what_changed():
    worse = replace(ROW, cycles=1100, sram_bytes=0)
    assert bench.compare(worse, stored(ROW)[ROW.key]) == {"cycles": 100}
    assert bench.compare(replace(ROW, cycles=900), stored(ROW)[ROW.key]) == {"cycles": -100}


def test_a_baseline_keeps_the_rows_that_were_not_run(tmp_path):
    other = replace(ROW, board="stm32h7", cycles=7)
    path = tmp_path / "baseline.json"
    path.write_text(text([ROW], stored(other)))
    found = bench.read_baseline(path)
    assert {key[1]: row["cycles"] for key, row in found.items()} == {"stm32l4": 1000, "stm32h7": 7}


def test_no_baseline_is_an_empty_one_and_a_broken_one_an_error(tmp_path):
    assert bench.read_baseline(tmp_path / "none.json") == {}
    broken = tmp_path / "broken.json"
    broken.write_text('{"rows": 3}')
    with pytest.raises(UserError, match=r"broken\.json"):
        bench.read_baseline(broken)


def test_a_baseline_tells_apart_what_is_optimised_for():
    fast = replace(ROW, optimize="speed", cycles=900)
    both = stored(ROW, fast)
    assert {key[2]: row["cycles"] for key, row in both.items()} == {"memory": 1000, "speed": 900}
    assert bench.compare(fast, both[fast.key]) == {}


def test_every_layer_is_shown_beside_the_limit_of_its_core():
    layers = ({"name": "conv", "kernel": "conv2d", "cycles": 800, "macs": 500},)
    row = replace(ROW, layers=layers, macs_per_cycle_limit=2.0)
    stream = io.StringIO()
    print_bench(Console(file=stream, width=120), bench.to_json([row], {})["rows"], layers=True)
    text = stream.getvalue()
    assert "at least 0.50 cycles a MAC" in text
    assert text.splitlines()[-1].split() == ["conv", "conv2d", "800", "80%", "1.60", "3.2"]


def test_peers_are_of_the_same_network_and_core():
    peers = json.loads(bench.PEERS.read_text())
    result = peers["results"][0]
    row = replace(ROW, network=result["network"], core=result["core"])
    found = bench.peers_of(row)
    assert result in found
    assert found == sorted(found, key=lambda r: r["cycles"])
    assert bench.peers_of(replace(row, core="cortex-m3")) == []


def test_every_peer_names_its_source():
    for result in json.loads(bench.PEERS.read_text())["results"]:
        assert result["source"] and result["engine"]
        assert result["cycles"] == pytest.approx(
            result["latency_ms"] * result["clock_mhz"] * 1000, rel=0.01
        )


def test_unknown_suites_and_boards_without_a_twin_are_refused():
    with pytest.raises(UserError, match="no suite"):
        bench.models_of("everything")
    with pytest.raises(UserError, match="no virtual twin"):
        bench.virtual_boards(["host"])
