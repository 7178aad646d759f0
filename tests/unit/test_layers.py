"""The data flows one way: a package imports only what lies before it (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "tinyvision"

BASE = {"errors", "files", "resources", "preprocess"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "resources": {"errors"},
    "preprocess": {"errors"},
    "pictures": {"errors", "preprocess"},
    "settings": {"errors", "preprocess"},
    "ir": {"errors"},
    "importer": BASE | {"ir"},
    "passes": BASE | {"ir"},
    "target": BASE,
    "kernels": BASE | {"ir", "target"},
    "schedule": BASE | {"ir", "target", "kernels", "native"},
    "codegen": BASE | {"ir", "target", "kernels", "schedule"},
    "firmware": BASE | {"ir", "target", "schedule", "codegen"},
    "native": set(),
    "cycles": BASE | {"target", "native"},
    "device": BASE
    | {"ir", "target", "schedule", "codegen", "firmware", "native", "cycles", "pictures"},
    "report": BASE | {"ir", "target", "kernels", "schedule"},
    "train": BASE
    | {"ir", "importer", "passes", "target", "kernels", "schedule", "zoo", "pictures", "settings"}
    | {"api", "build"},
    "zoo": BASE,
}
# These put the pieces together and may import everything.
TOP = {
    "__init__",
    "__main__",
    "api",
    "bench",
    "build",
    "catalogue",
    "cli",
    "demo",
    "doctor",
    "evaluate",
    "export",
    "keras_file",
    "project",
    "tune",
}
TENSORFLOW_ALLOWED = {"train", "search", "zoo"}


def imports_of(path: Path) -> set[str]:
    """Dotted names of every module that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    package = package_of(path)
    imported = imports_of(path)
    if package not in TENSORFLOW_ALLOWED:
        assert not {n for n in imported if n.split(".")[0] in ("tensorflow", "keras")}
    if package in TOP:
        return
    inside = {n.split(".")[1] for n in imported if n.startswith("tinyvision.")} - {"__version__"}
    assert inside <= MAY_IMPORT[package] | {package}


def test_light_commands_never_load_tensorflow():
    code = (
        "import sys, tinyvision, tinyvision.cli, tinyvision.build, tinyvision.api;"
        "sys.exit(any(m.split('.')[0] in ('tensorflow', 'keras') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
