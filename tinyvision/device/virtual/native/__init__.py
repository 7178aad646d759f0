"""C that is compiled on first use into the user's cache; the emulator does without, slowly."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("tracer.c")
FLAGS = ("-O2", "-std=c99", "-shared", "-fPIC")


def cache_folder() -> Path:
    """Where compiled code is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tinyvision"


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The compiled tracer, or None where there is no compiler (or ``TINYVISION_NATIVE=0``)."""
    if os.environ.get("TINYVISION_NATIVE") == "0":
        return None
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        log.warning("no C compiler: the virtual board runs without its native part, slowly")
        return None
    key = hashlib.sha256(SOURCE.read_bytes() + " ".join(FLAGS).encode())
    key.update(f"{sys.platform} {platform.machine()}".encode())
    try:
        path = cache_folder() / f"tracer-{key.hexdigest()[:16]}.so"
        if not path.exists():
            _compile(compiler, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        log.warning("the virtual board runs without its native part, slowly: %s", error)
        return None


def _compile(compiler: str, path: Path) -> None:
    """Writes ``path`` whole or not at all, whoever else does the same at the time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        command = [compiler, *FLAGS, str(SOURCE), "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True)
        made.replace(path)
