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


def blocks(document: Path, language: str) -> list[str]:
    """The blocks of ``language``, in order; those without a language need a board."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fence.findall(document.read_text("utf-8"))


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="needs the cross compiler")
def test_the_commands_of_the_readme_work(tmp_path):
    shutil.copy(ROOT / "tinyvision" / "demo" / "digits.tflite", tmp_path / "model.tflite")
    lines = [line for block in blocks(ROOT / "README.md", "sh") for line in block.splitlines()]
    assert len(lines) >= 6
    program = f"{sys.executable} -m tinyvision "

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    for line in lines:
        assert line.startswith("tinyvision ")
        run("bash", "-c", program + line.removeprefix("tinyvision "))
    assert (tmp_path / "report.html").is_file()
    assert (tmp_path / "lib" / "model" / "CMakeLists.txt").is_file()
    (python,) = blocks(ROOT / "README.md", "python")
    assert run(sys.executable, "-c", python).splitlines()[-1] == "0"
