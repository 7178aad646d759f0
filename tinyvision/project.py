"""Project folders: a ``tinyvision.toml`` that says which model and board the commands mean, and how
the model is trained (``tinyvision.settings``).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from tinyvision.errors import UserError
from tinyvision.files import write_whole
from tinyvision.settings import SECTIONS, Settings, check_key, parse

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "tinyvision.toml"
KEYS = ("model", "board", "out")

TEMPLATE = """\
# A tinyvision project. Commands run in this folder take what is written here; flags go over it.
[project]
model = "model.tflite"   # the network: int8 .tflite; `tinyvision train` writes it
board = "stm32h7"        # one of `tinyvision boards`, or a path to a board file
out = "build/firmware"   # where the PlatformIO project is written

[data]
source = "data"          # a folder with a folder for each class, a .csv (path,label), digits,
                         # shapes, mnist, cifar10... or tfds:NAME
fit = "stretch"          # how a picture of another shape becomes the input: stretch or crop

[model]
# name = "mcunet-vww0"   # one of `tinyvision zoo`
# resolution = 64
# width = 1.0

[training]
epochs = 40
seed = 0
augment = "light"        # none, light, medium, strong

[quantization]
qat = false              # train on with simulated int8

[budget]                 # what the network may take; training refuses what does not fit
# sram = "64K"
# flash = "512K"
# latency = "50ms"
"""

README = """\
# {name}

1. Put pictures into `data`, a folder for each class; `tinyvision train` makes `model.tflite` of
   them and refuses, before the first epoch, what would not fit the board. Or put an int8 `.tflite`
   of your own here as `model.tflite` (`tinyvision.toml` names both).
2. `tinyvision evaluate` compares the float network, the int8 one and the one on the device.
3. `tinyvision check` tells whether every operator is supported and whether it fits.
4. `tinyvision build` writes and builds the firmware; `tinyvision verify --virtual` proves it equal
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
    settings: Settings = field(default_factory=Settings)


def find(directory: Path | None = None) -> Project | None:
    """The project whose folder ``directory`` (default: the current one) is, or None."""
    root = directory or Path.cwd()
    path = root / FILE
    if not path.is_file():
        return None
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError("the project file cannot be read", str(path), str(error)) from error
    for name in tables:
        check_key(name, ("project", *SECTIONS), "", str(path))
    table = tables.get("project", {})
    if not isinstance(table, dict):
        raise UserError("[project] is no table", str(path))
    for key, value in table.items():
        check_key(key, KEYS, "project", str(path))
        if not isinstance(value, str):
            raise UserError(f"{key} is no text", str(path), hint=f'Write {key} = "...".')
    model, out = table.get("model"), table.get("out")
    return Project(
        root,
        root / model if model else None,
        table.get("board"),
        root / out if out else None,
        parse(tables, str(path)),
    )


def install(folder: Path, model: Path) -> None:
    """Brings what a training wrote into ``folder`` to where the project's ``model`` is."""
    if folder.resolve() == model.parent.resolve():
        return
    for name, target in (
        ("model.tflite", model),
        ("model.keras", model.with_suffix(".keras")),
        ("model.qat.keras", model.with_suffix(".qat.keras")),
        ("training.json", model.parent / "training.json"),
    ):
        if (folder / name).exists():
            write_whole(target, (folder / name).read_bytes())
        else:  # of an earlier training
            target.unlink(missing_ok=True)


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
