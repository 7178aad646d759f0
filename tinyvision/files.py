"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tinyvision.errors import UserError


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file by renaming a finished one; UserError where that is impossible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tinyvision.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content.encode() if isinstance(content, str) else content)
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_folder(path: Path, files: Mapping[str, str]) -> None:
    """Makes a folder of text files, ``files`` by their path inside it, that appears complete or not
    at all. UserError where that is impossible, or where something is there already.
    """
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            hint = "Choose another --out."
            raise UserError("there is something in the way already", str(path), hint=hint)
        parent = path.resolve().parent
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tinyvision.", dir=parent) as temporary:
            root = Path(temporary) / "folder"
            for relative, text in files.items():
                target = root / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text.encode())
            if path.is_dir():
                path.rmdir()
            root.rename(path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError("cannot write", str(path), error.strerror or str(error))
