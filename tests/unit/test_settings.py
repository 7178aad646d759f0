"""Settings of a training: what the project file may say, and what is refused."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from tinyvision import project
from tinyvision.errors import UserError
from tinyvision.evaluate import score
from tinyvision.settings import Settings, parse, size_bytes, time_ms
from tinyvision.train.needs import require_tensorflow


def test_a_new_project_has_the_settings_its_file_says(tmp_path):
    project.create(tmp_path)
    found = project.find(tmp_path)
    assert found is not None
    assert found.settings == parse({"data": {"source": "data"}})
    text = (tmp_path / project.FILE).read_text()
    for line in text.splitlines():  # what is commented out is right too
        if line.startswith("# ") and " = " in line:
            text = text.replace(line, line[2:])
    (tmp_path / project.FILE).write_text(text)
    budget = project.find(tmp_path).settings.budget
    assert (budget.sram_bytes, budget.flash_bytes, budget.latency_ms) == (65536, 524288, 50.0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[trainng]\nepochs = 3\n", "Did you mean training"),
        ("[training]\nepoch = 3\n", "Did you mean epochs"),
        ("[training]\nepochs = 'many'\n", "training.epochs is 'many', not a whole number"),
        ("[training]\nepochs = true\n", "not a whole number"),
        ("[training]\nepochs = 0\n", "less than 1"),
        ("[training]\naugment = 'wild'\n", "none, light, medium, strong"),
        ("[training]\nema = 1.5\n", "not a share"),
        ("[data]\nfit = 'squeeze'\n", "stretch, crop"),
        ("[model]\nchannels = 2\n", "1, 3"),
        ("[budget]\nsram = 'lots'\n", "64K"),
        ("[budget]\nlatency = 'soon'\n", "50ms"),
        ("budget = 1\n", "no table"),
    ],
)
def test_mistakes_are_named(tmp_path, text, why):
    (tmp_path / project.FILE).write_text(text)
    with pytest.raises(UserError, match=why):
        project.find(tmp_path)


def test_flags_go_over_the_file_and_none_is_no_flag():
    file = parse({"training": {"epochs": 7, "batch": 5}, "budget": {"sram": 1000}})
    merged = file.over(training={"epochs": 9, "batch": None}, budget={"flash": "2K"})
    assert (merged.training.epochs, merged.training.batch) == (9, 5)
    assert (merged.budget.sram_bytes, merged.budget.flash_bytes) == (1000, 2048)
    assert parse(merged.to_json()) == merged and Settings().over() == Settings()


def test_units():
    assert [size_bytes("x", text) for text in ("65536", "64K", "64kb", "1M")] == [
        65536, 65536, 65536, 1 << 20,
    ]  # fmt: skip
    assert [time_ms("x", text) for text in ("50ms", "0.05s", "50")] == [50, 50, 50]


def test_without_tensorflow_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as refused:
        require_tensorflow()
    assert "pip install 'tinyvision[train]'" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_scores():
    labels, answers = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 1, 1, 0, 0])
    result = score(labels, answers, ("a", "b", "c"))
    assert result["confusion"] == [[1, 1, 0], [1, 2, 0], [1, 0, 0]]
    first, second, third = result["per_class"]
    assert (first["precision"], first["recall"], first["samples"]) == (1 / 3, 1 / 2, 2)
    assert second["f1"] == pytest.approx(2 / 3)
    assert third["precision"] is None and third["recall"] == 0.0
