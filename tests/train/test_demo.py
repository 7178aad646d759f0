"""The demo as a user runs it, but for the number of epochs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import sys
from tinyvision import demo
from tinyvision.cli import main
demo.EPOCHS["digits"] = 2
sys.argv = ["tinyvision", "demo", "--board", "stm32f4", "--out", "out", "--json"]
main()
"""


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs the cross compiler")
def test_the_demo_trains(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result["accuracy"]) == {"float", "int8", "device"}
    assert result["accuracy"]["device"] == result["accuracy"]["int8"]
    assert result["mismatches"] == 0 and result["samples"] == 359
    assert result["plan"]["fits"] and result["profile"]["source"] == "modelled"
    steps = ["train", "quantize", "plan", "build", "flash", "verify", "profile", "report"]
    assert list(result["seconds"]) == steps
    assert (tmp_path / result["report"]).is_file()
