"""Finds a cross compiler on this machine. Used by the platform and by tinyvision itself."""

import shutil
import subprocess
from pathlib import Path


def system_toolchain():
    """Folder of an ``arm-none-eabi-gcc`` on PATH that has newlib beside it, or None.

    Homebrew's compiler, and Debian's without libnewlib-arm-none-eabi, have no C library: the
    compiler then echoes the bare name back instead of a path.
    """
    compiler = shutil.which("arm-none-eabi-gcc")
    if not compiler:
        return None
    command = [compiler, "-mthumb", "-mcpu=cortex-m4", "-print-file-name=libc.a"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    library = Path(answer.stdout.strip())
    return Path(compiler).parent if library.is_absolute() else None
