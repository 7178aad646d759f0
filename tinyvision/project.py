"""Project folders: a ``tinyvision.toml`` that says which model and board the commands mean."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tinyvision.errors import UserError
from tinyvision.files import write_whole

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "tinyvision.toml"
KEYS = ("model", "board", "out")

TEMPLATE = """\
# A tinyvision project. Commands run in this folder take what is written here; flags go over it.
[project]
model = "model.tflite"   # the network: int8 .tflite
board = "stm32h7"        # one of `tinyvision boards`, or a path to a board file
out = "build/firmware"   # where the PlatformIO project is written
"""

README = """\
# {name}

1. Put your int8 `.tflite` here as `model.tflite` (or name it in `tinyvision.toml`).
2. `tinyvision check` tells whether every operator is supported and whether it fits.
3. `tinyvision build` writes and builds the firmware; `tinyvision verify --virtual` proves it equal
   to the reference bit for bit; `tinyvision profile --virtual --html report.html` says where time
   and memory go. With the board plugged in: `tinyvision flash`, then the same with `--port`.
"""


@dataclass(frozen=True)
class Project:
    """What ``tinyvision.toml`` says; paths are relative to its folder, resolved."""

    root: Path
    model: Path | None = None
    board: str | None = None
    out: Path | None = None


def find(directory: Path | None = None) -> Project | None:
    """The project whose folder ``directory`` (default: the current one) is, or None."""
    root = directory or Path.cwd()
    path = root / FILE
    if not path.is_file():
        return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError("the project file cannot be read", str(path), str(error)) from error
    if not isinstance(table, dict):
        raise UserError("[project] is no table", str(path))
    for key, value in table.items():
        if key not in KEYS:
            raise UserError(
                f"unknown key {key!r} in [project]", str(path), hint=f"Known: {', '.join(KEYS)}."
            )
        if not isinstance(value, str):
            raise UserError(f"{key} is no text", str(path), hint=f'Write {key} = "...".')
    model, out = table.get("model"), table.get("out")
    return Project(
        root, root / model if model else None, table.get("board"), root / out if out else None
    )


def create(directory: Path) -> list[Path]:
    """Makes a project folder; refuses one that has a project already. Returns the files written."""
    target = directory / FILE
    if target.exists():
        raise UserError("there is a project already", str(target), hint="Choose another folder.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "data").mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(
            "the folder cannot be made", str(directory), error.strerror or str(error)
        ) from error
    files = {
        target: TEMPLATE,
        directory / "README.md": README.format(name=directory.resolve().name),
        directory / "data" / "README.md": "One folder a class, pictures inside.\n",
        directory / ".gitignore": "build/\n",
    }
    written = []
    for path, text in files.items():
        if not path.exists():
            write_whole(path, text)
            written.append(path)
    return written
