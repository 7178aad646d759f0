"""The state of a training in one file that is whole or not there."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyvision.files import write_whole
from tinyvision.ir.types import Array


@dataclass(frozen=True)
class Checkpoint:
    """``step``: how many are done; ``arrays``: every variable, in order; ``key``: what training it
    is of; ``history``: an entry an epoch.
    """

    step: int
    key: dict[str, Any]
    history: list[dict[str, Any]]
    arrays: Sequence[Array]

    def write(self, path: Path) -> None:
        stream = io.BytesIO()
        about = json.dumps({"step": self.step, "key": self.key, "history": self.history})
        values = {f"a{index}": array for index, array in enumerate(self.arrays)}
        np.savez(stream, about=np.frombuffer(about.encode(), np.uint8), **values)
        write_whole(path, stream.getvalue())


def read(path: Path) -> Checkpoint | None:
    """The checkpoint at ``path``; None where there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            arrays = [file[f"a{index}"] for index in range(len(file.files) - 1)]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return Checkpoint(about["step"], about["key"], about["history"], arrays)
