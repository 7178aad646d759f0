"""Names and texts of a model, made safe for C: identifiers, comments, string literals."""

from __future__ import annotations

import math
import re
from functools import cache

import numpy as np

from tinyvision.resources import data_folder

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LIMIT = 48


def is_identifier(text: str) -> bool:
    return _IDENTIFIER.match(text) is not None


def c_identifier(text: str) -> str:
    """``text`` as the part of a C identifier after ``tv_``: lower case, digits, underscores; never
    empty, nor a name that is taken.
    """
    cleaned = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:_LIMIT].strip("_")
    taken = cleaned in _own_names() or re.sub(r"_\d+\Z", "", cleaned) in _own_names()
    return f"{cleaned}_model" if taken else cleaned or "model"


@cache
def _own_names() -> frozenset[str]:
    """What runtime, kernels and agent call ``tv_...``, kernel instances without their number."""
    templates = data_folder("codegen_templates")
    files = [*templates.glob("*.j2"), *(data_folder("firmware") / "agent").rglob("*.[ch]")]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    kernels = (path.name.split(".")[0] for path in (templates / "kernels").glob("*.c.j2"))
    return frozenset({*re.findall(r"\btv_([a-z0-9_]*[a-z0-9])", text), *kernels})


def c_comment(text: str) -> str:
    """``text`` for use inside a C comment or as a plain name: what could end either becomes
    ``_``.
    """
    return re.sub(r"[^A-Za-z0-9_.:/+, ()=-]", "_", text)[:96].strip()


def c_string(text: str) -> str:
    """A C string literal of ``text``'s UTF-8 bytes; everything unusual as three octal digits."""
    plain = re.compile(rb"[A-Za-z0-9_.:/+, ()=-]")
    escaped = "".join(
        chr(byte) if plain.match(bytes([byte])) else f"\\{byte:03o}"
        for byte in text.encode("utf-8", "replace")
    )
    return f'"{escaped}"'


def c_int(value: int) -> str:
    """An integer constant of type int where it fits (INT32_MIN has no literal of its own)."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(int(value))


def c_float(value: float) -> str:
    """A float literal that reads back as the same float32."""
    single = float(np.float32(value))
    if not math.isfinite(single):
        raise ValueError(f"{value} has no float literal")
    text = f"{single:.9g}"
    return f"{text}f" if any(c in text for c in ".e") else f"{text}.0f"
