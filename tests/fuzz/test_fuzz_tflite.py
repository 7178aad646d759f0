"""A short slice of the fuzzing of ``.tflite`` files, in a process of limited memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_mutated_files_end_in_a_graph_or_a_user_error() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz_tflite", "--count", "1500", "--seed", "1234"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    for ending in ("imported", "UnsupportedError", "ModelError, broken"):
        assert ending in run.stdout
