"""Which oracle answers."""

from __future__ import annotations

import sys

import pytest

from tinyvision import demo, importer
from tinyvision.device.oracle import ReferenceOracle, oracle_for


def test_tflite_stays_out_of_a_process_with_tensorflow(monkeypatch):
    pytest.importorskip("tflite_runtime")
    data = (demo.FOLDER / "digits.tflite").read_bytes()
    graph = importer.from_bytes(data)
    assert oracle_for(graph, data).name == "tflite-runtime BUILTIN_REF"
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    assert isinstance(oracle_for(graph, data), ReferenceOracle)
