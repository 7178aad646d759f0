"""The promise of ``import tinyvision``: functions at the top, nothing loaded before its use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tinyvision

STEPS = (
    "load",
    "plan",
    "build",
    "flash",
    "verify",
    "profile",
    "run",
    "export",
    "train",
    "evaluate",
)


def isolated(code: str) -> str:
    """What a fresh interpreter prints for ``code``."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", [*STEPS, "Where", "UserError", "Settings"])
def test_names_at_the_top(name):
    assert callable(getattr(tinyvision, name))
    assert name in tinyvision.__all__


@pytest.mark.parametrize("first", ["", "import tinyvision.build, tinyvision.export"])
@pytest.mark.parametrize("name", ["build", "export", "evaluate"])
def test_a_step_stands_before_the_module_of_its_name(first, name):
    code = f"import tinyvision\n{first}\nprint(type(tinyvision.{name}).__name__)"
    assert isolated(code) == "function"


def test_importing_it_loads_next_to_nothing():
    code = "import sys, tinyvision; print(sorted({'numpy', 'rich', 'jinja2'} & set(sys.modules)))"
    assert isolated(code) == "[]"


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError):
        tinyvision.nonsense  # noqa: B018
