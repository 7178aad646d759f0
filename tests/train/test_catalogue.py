"""The zoo's table: figures are those of a plan, kept until something they follow from changes."""

from __future__ import annotations

import json

import pytest

from tinyvision import catalogue
from tinyvision.errors import UserError
from tinyvision.report import ZOO_HEADINGS, zoo_cells
from tinyvision.target import load_board
from tinyvision.zoo import network


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "tinyvision" / "zoo"


def test_figures_on_a_board_that_holds_it_and_on_one_that_does_not():
    row = catalogue.row("resnet8", load_board("stm32h7"))
    assert row["fits"] is True
    assert row["macs"] == pytest.approx(12.5e6, rel=0.01)
    # At most what Winograd's filtering makes of 3x3 weights: 36 values of two bytes for nine.
    assert row["parameters"] < row["flash_bytes"] < 8.2 * row["parameters"]
    assert 16 * 32 * 32 <= row["sram_bytes"] < 64_000
    assert row["latency_source"] == "estimated"
    assert 5 < row["latency_ms"] < 200
    small = catalogue.row("resnet8", load_board("stm32g0"))
    assert small["fits"] is True
    cells = dict(zip(ZOO_HEADINGS, zoo_cells(row), strict=True))
    assert cells["network"] == "resnet8"
    assert cells["latency"] == f"~{row['latency_ms']:.1f} ms"


def test_without_a_board_there_is_no_memory():
    row = catalogue.row("resnet8")
    assert row["macs"] and row["parameters"]
    assert row["sram_bytes"] is row["fits"] is None


def test_what_is_known_is_not_computed_again(cache, monkeypatch):
    first = catalogue.row("resnet8", load_board("stm32h7"))
    monkeypatch.setattr(catalogue, "int8_network", None)
    assert catalogue.row("resnet8", load_board("stm32h7")) == first
    with pytest.raises(TypeError):  # another board is another plan
        catalogue.row("resnet8", load_board("stm32f4"))
    monkeypatch.setattr(catalogue, "_program", lambda: "another program")
    with pytest.raises(TypeError):
        catalogue.row("resnet8", load_board("stm32h7"))
    assert all(json.loads(path.read_text()) for path in cache.glob("*.json"))


def test_without_tensorflow_the_networks_are_listed(monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    row = catalogue.row("ds-cnn", load_board("stm32h7"))
    assert "pip install 'tinyvision[train]'" in row["why"]
    assert row["macs"] is None
    assert row["classes"] == network("ds-cnn").classes
    with pytest.raises(UserError, match="TensorFlow"):
        catalogue.int8_network("ds-cnn")
