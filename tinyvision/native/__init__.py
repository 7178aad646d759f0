"""C where Python is too slow: what follows the emulated core, which is the tracer and the engine of
the cycle model, and the placement of buffers. One library.

It is built when tinyvision is installed, where a compiler is there (``setup.py``), or on first use
into the user's cache. Without it the same logic runs in Python, slowly; the tests hold both equal.
"""

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
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
FLAGS = ("-O2", "-std=c99", "-shared", "-fPIC")
INSTALLED = "_installed"
"""Name of the library that an installation has built beside this file."""


def sources() -> list[Path]:
    """What the library is compiled from, headers left out."""
    return sorted(FOLDER.glob("*.c"))


def source_hash() -> str:
    """Identifies the sources, so that no library of other ones is ever loaded."""
    digest = hashlib.sha256()
    for path in sorted([*FOLDER.glob("*.c"), *FOLDER.glob("*.h")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled code is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tinyvision"


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The compiled library, or None where there is no compiler (or ``TINYVISION_NATIVE=0``)."""
    if os.environ.get("TINYVISION_NATIVE") == "0":
        return None
    return _installed() or _compiled()


def _installed() -> ctypes.CDLL | None:
    for suffix in EXTENSION_SUFFIXES:
        path = FOLDER / f"{INSTALLED}{suffix}"
        if path.exists():
            try:
                loaded = ctypes.CDLL(str(path))
            except OSError as error:
                log.debug("%s: %s", path, error)
                continue
            loaded.tv_native_sources.restype = ctypes.c_char_p
            if loaded.tv_native_sources() == source_hash().encode():
                return loaded
    return None


def _compiled() -> ctypes.CDLL | None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        log.warning(
            "no C compiler: virtual boards and the planner run without their native part, slowly"
        )
        return None
    key = hashlib.sha256(f"{source_hash()} {FLAGS} {sys.platform} {platform.machine()}".encode())
    try:
        path = cache_folder() / f"native-{key.hexdigest()[:16]}.so"
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
        command = [compiler, *FLAGS, *map(str, sources()), "-o", str(made)]
        subprocess.run(command, check=True, capture_output=True)
        made.replace(path)
