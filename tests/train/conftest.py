"""Tests of what needs TensorFlow; where it is missing each file is skipped and says so."""

import importlib.util
import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
MISSING = importlib.util.find_spec("tensorflow") is None


class SkippedModule(pytest.Module):
    def collect(self):
        pytest.skip("needs TensorFlow: pip install 'tinyvision[train]'", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector):
    return SkippedModule.from_parent(parent, path=module_path) if MISSING else None
