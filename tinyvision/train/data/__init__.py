"""Data sources, all by one name: ``digits``, ``shapes``, one of ``keras.datasets``, ``tfds:NAME``,
a folder of pictures or a table of them.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from tinyvision.errors import UserError
from tinyvision.preprocess import Preprocess
from tinyvision.train.data import named, shapes
from tinyvision.train.data.dataset import Dataset, Samples, Source, Split
from tinyvision.train.data.files import from_folder, from_table
from tinyvision.train.data.prepare import prepare

__all__ = ["Dataset", "Samples", "Source", "Split", "load", "open_source", "prepare"]

BUILT_IN: dict[str, Callable[[], Source]] = {"digits": named.digits, "shapes": shapes.source}
DEFAULTS = {"digits": (32, 1), "shapes": (48, 3), "mnist": (28, 1), "fashion_mnist": (28, 1)}
"""Resolution and channels that fit a data set."""


def open_source(name: str, preprocess: Preprocess) -> Source:
    """The source called ``name``; a folder or file of that name goes before the names of sets."""
    path = Path(name)
    if path.is_dir():
        return from_folder(path, preprocess)
    if path.is_file():
        return from_table(path, preprocess)
    if name in BUILT_IN:
        return BUILT_IN[name]()
    if name in named.KERAS:
        return named.from_keras(name)
    if name.startswith("tfds:"):
        return named.from_tfds(name.removeprefix("tfds:"), preprocess)
    known = [*BUILT_IN, *named.KERAS]
    near = get_close_matches(name, known, 1)
    hint = f"Is it {near[0]}?" if near else f"A folder, a .csv, tfds:NAME, {', '.join(known)}."
    raise UserError("there is no such data", name, hint=hint)


def load(
    name: str, preprocess: Preprocess, progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """The data set called ``name``, read and pre-processed."""
    return prepare(open_source(name, preprocess), preprocess, progress)
