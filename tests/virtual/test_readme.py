"""The README's shell commands, as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(document: Path) -> list[str]:
    """The lines of every ``sh`` block, in order; blocks without a language need a board."""
    return [
        line for block in FENCE.findall(document.read_text("utf-8")) for line in block.splitlines()
    ]


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs the cross compiler")
def test_the_commands_of_the_readme_work(tmp_path):
    shutil.copy(ROOT / "tinyvision" / "demo" / "digits.tflite", tmp_path / "model.tflite")
    lines = commands(ROOT / "README.md")
    assert len(lines) >= 5
    program = f"{sys.executable} -m tinyvision "
    for line in lines:
        assert line.startswith("tinyvision ")
        done = subprocess.run(
            ["bash", "-c", program + line.removeprefix("tinyvision ")],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "report.html").is_file()
