"""Pictures in files: a folder with a folder for each class, or a table of paths and labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyvision.errors import UserError
from tinyvision.pictures import SUFFIXES, load_frame
from tinyvision.preprocess import Pixels, Preprocess
from tinyvision.train.data.dataset import PARTS, Samples, Source

ALIASES = {"valid": "val", "validation": "val", "dev": "val", "training": "train"}


@dataclass(frozen=True)
class PictureFiles(Sequence[Pixels]):
    """Read when asked for, no smaller than ``least`` pixels a side."""

    paths: tuple[Path, ...]
    least: int

    def __getitem__(self, index: int) -> Pixels:  # type: ignore[override]
        return load_frame(self.paths[index], self.least)

    def __len__(self) -> int:
        return len(self.paths)


def _source(
    name: str, parts: dict[str, list[tuple[Path, str]]], preprocess: Preprocess, hint: str
) -> Source:
    """Of the pictures and class names of each part."""
    classes = tuple(sorted({label for items in parts.values() for _, label in items}))
    if not parts.get("train"):
        raise UserError("there are no pictures to train with", name, hint=hint)
    numbers = {label: number for number, label in enumerate(classes)}
    least = 2 * max(preprocess.height, preprocess.width)
    return Source(
        name,
        classes,
        {
            part: Samples(
                PictureFiles(tuple(path for path, _ in items), least),
                np.array([numbers[label] for _, label in items], np.int64),
            )
            for part, items in parts.items()
            if items
        },
    )


def from_folder(folder: Path, preprocess: Preprocess) -> Source:
    """Every folder in ``folder`` is a class, whatever lies how deep inside a picture of it. Where
    there is a folder ``train``, it and ``val`` and ``test`` beside it hold the classes.
    """
    inside = _folders(folder)
    parts = {ALIASES.get(path.name.lower(), path.name.lower()): path for path in inside}
    if "train" in parts and set(parts) <= set(PARTS):
        found = {part: _pictures(path) for part, path in parts.items()}
    else:
        found = {"train": _pictures(folder)}
    hint = f"Put pictures ({', '.join(sorted(SUFFIXES))}) into a folder for each class in it."
    return _source(str(folder), found, preprocess, hint)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise UserError("the folder cannot be read", str(folder), error.strerror or "") from None


def _pictures(folder: Path) -> list[tuple[Path, str]]:
    return [
        (path, group.name)
        for group in _folders(folder)
        for path in sorted(group.rglob("*"))
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]


def from_table(path: Path, preprocess: Preprocess) -> Source:
    """A CSV file with a header: ``path`` (relative to the file), ``label``, and perhaps ``split``
    (train, val or test).
    """
    parts: dict[str, list[tuple[Path, str]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            for column in ("path", "label"):
                if column not in (rows.fieldnames or ()):
                    raise UserError(
                        f"the table has no column '{column}'",
                        str(path),
                        hint="Its first line must be: path,label or path,label,split",
                    )
            for row in rows:
                part = (row.get("split") or "train").strip().lower()
                part = ALIASES.get(part, part)
                if part not in PARTS:
                    where = f"{path}, line {rows.line_num}"
                    raise UserError(f"there is no split '{part}'", where, hint="train, val, test.")
                if row["path"] and row["label"]:
                    parts.setdefault(part, []).append((path.parent / row["path"], row["label"]))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError("the table cannot be read", str(path), str(error)) from None
    return _source(str(path), parts, preprocess, "Write a line for each picture: path,label")
