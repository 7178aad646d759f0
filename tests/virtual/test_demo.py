"""The demo where TensorFlow is missing: the network that was trained before."""

from __future__ import annotations

import importlib.util
import io
import shutil

import pytest
from rich.console import Console

from tinyvision import demo
from tinyvision.errors import UserError

pytestmark = pytest.mark.skipif(
    not shutil.which("arm-none-eabi-gcc"), reason="needs the cross compiler"
)


@pytest.fixture
def without_tensorflow(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorflow" else find(name)
    )


def test_the_demo_without_tensorflow(without_tensorflow, tmp_path):
    text = io.StringIO()
    result = demo.run("stm32f4", tmp_path, lambda message: None, Console(file=text, width=200))
    assert "pip install 'tinyvision[train]'" in text.getvalue()
    assert result["mismatches"] == 0 and result["samples"] == 100
    assert result["accuracy"]["float"] is None
    assert result["accuracy"]["device"] == result["accuracy"]["int8"] > 0.97
    assert list(result["seconds"]) == ["plan", "build", "flash", "verify", "profile", "report"]
    assert (tmp_path / "report.html").is_file()


def test_other_data_needs_tensorflow(without_tensorflow, tmp_path):
    with pytest.raises(UserError, match="pip install"):
        demo.run("stm32f4", tmp_path, lambda message: None, Console(file=io.StringIO()), "shapes")
